"""Normal form: one kind of weight, names on everything, and the same outputs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tests.support import graphs
from tests.support.ort import largest_difference, run
from winnow.contract.errors import Refusal
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.normal_form.tidy import tidy
from worker.compression.graph.opset.conversion import opset_of, raise_opset
from worker.compression.onnx_files import model_files

TOLERANCE = 1e-4
SHARED = Path(__file__).parents[6] / "shared" / "models"
MODELS = sorted(SHARED.glob("*.onnx"))
BUILDERS = [
    graphs.cnn,
    graphs.mlp,
    graphs.lstm,
    graphs.branches,
    graphs.dirty,
    graphs.with_constant_nodes,
    graphs.with_functions,
    graphs.with_initializers_as_inputs,
    graphs.with_sparse_initializers,
]
DYNAMIC = {"p2o.DynamicDimension.1": 64, "p2o.DynamicDimension.2": 96, "sequence": 512}


def written(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_outputs_stay_equal(build: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    original = build()
    feeds = graphs.feeds(original)
    normal = normalise(model_files.load(written(original, tmp_path)))
    assert largest_difference(run(original, feeds), run(normal, feeds)) <= TOLERANCE


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_only_plain_initializers_and_named_nodes_are_left(
    build: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    normal = normalise(model_files.load(written(build(), tmp_path)))
    nodes = list(ir.traversal.RecursiveGraphIterator(normal.graph))
    assert not normal.functions
    assert not [node for node in nodes if node.op_type == "Constant"]
    assert not [
        value for graph in normal.graphs() for value in graph.initializers.values() if value.is_graph_input()
    ]
    assert all(node.name for node in nodes)
    for graph in normal.graphs():
        names = [node.name for node in graph]
        assert len(names) == len(set(names))
    assert all(value.shape is not None for node in nodes for value in node.outputs)


def test_unused_nodes_and_initializers_are_removed_but_never_inputs(tmp_path: Path) -> None:
    model = graphs.mlp()
    model.graph.node.append(graphs.node("Neg", "features", "nobody", name="dead"))
    model.graph.initializer.append(helper.make_tensor("dead_weight", TensorProto.FLOAT, [2], [1, 2]))
    model.graph.input.append(helper.make_tensor_value_info("unused", TensorProto.FLOAT, [1]))
    normal = normalise(model_files.load(written(model, tmp_path)))
    assert "dead" not in {node.name for node in normal.graph}
    assert "dead_weight" not in normal.graph.initializers
    assert [value.name for value in normal.graph.inputs] == ["features", "unused"]


def test_nodes_without_names_are_named_after_their_operator(tmp_path: Path) -> None:
    model = graphs.mlp()
    for node in model.graph.node:
        node.name = ""
    normal = normalise(model_files.load(written(model, tmp_path)))
    assert [node.name for node in normal.graph] == ["MatMul", "Add", "Relu", "MatMul_1", "Add_1"]


def test_the_other_name_of_onnx_own_domain_is_understood(tmp_path: Path) -> None:
    model = graphs.with_constant_nodes()
    model.opset_import[0].domain = "ai.onnx"
    for node in model.graph.node:
        node.domain = "ai.onnx"
    normal = normalise(model_files.load(written(model, tmp_path)))
    assert opset_of(normal) == 18
    assert {node.domain for node in normal.graph} == {""}
    assert "Constant" not in {node.op_type for node in normal.graph}
    assert largest_difference(run(model, graphs.feeds(model)), run(normal, graphs.feeds(model))) == 0


def test_an_identity_that_is_an_output_of_a_branch_stays(tmp_path: Path) -> None:
    """Both branches answer a value of the outer graph, which only an Identity can hand out."""
    model = graphs.parse("""(float[2] x, bool flag) => (float[2] y) {
        [add] sum = Add (x, x)
        [skipped] doubled = Identity (sum)
        [choose] y = If <
            then_branch = then () => (float[2] then) { [then] then = Identity (x) },
            else_branch = else () => (float[2] else) { [else] else = Identity (doubled) }
        > (flag)
    }""")
    normal = normalise(model_files.load(written(model, tmp_path)))
    assert "skipped" not in {node.name for node in normal.graph}
    for flag_ in (True, False):
        feeds = {"x": np.ones(2, np.float32), "flag": np.array(flag_)}
        assert largest_difference(run(model, feeds), run(normal, feeds)) == 0


def test_sequences_stay_sequences(tmp_path: Path) -> None:
    model = graphs.parse("""(float[2] x) => (float[4] y) {
        [construct] pair = SequenceConstruct (x, x)
        [concat] y = ConcatFromSequence <axis=0> (pair)
    }""")
    normal = normalise(model_files.load(written(model, tmp_path)))
    feeds = {"x": np.ones(2, np.float32)}
    assert largest_difference(run(model, feeds), run(normal, feeds)) == 0


def test_normalising_leaves_no_records_of_its_own(tmp_path: Path) -> None:
    normal = normalise(model_files.load(written(graphs.with_functions(), tmp_path)))
    assert tidy(normal) == 0


def test_the_opset_is_not_raised(tmp_path: Path) -> None:
    assert opset_of(normalise(model_files.load(written(graphs.cnn(opset=11), tmp_path)))) == 11


def test_what_the_checker_refuses_is_refused_with_its_sentence(tmp_path: Path) -> None:
    model = graphs.mlp()
    model.graph.node[2].attribute.append(helper.make_attribute("slope", 1.0))
    with pytest.raises(Refusal, match="slope") as refusal:
        normalise(model_files.load(written(model, tmp_path)))
    assert refusal.value.problem.code == "invalid_model"


@pytest.mark.parametrize("to", [1.0, "float", [1]])
def test_a_cast_to_what_is_no_type_is_refused_by_the_checker(to: object) -> None:
    model = graphs.mlp()
    model.graph.node.append(helper.make_node("Cast", [model.graph.output[0].name], ["cast"], to=to))
    model.graph.output.append(helper.make_tensor_value_info("cast", TensorProto.FLOAT, ["N", "M"]))
    with pytest.raises(Refusal, match="attribute type in 'Cast : to'") as refusal:
        normalise(ir.from_proto(model))
    assert refusal.value.problem.code == "invalid_model"


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_outputs_of_published_models_stay_equal_also_at_opset_20(path: Path) -> None:
    feeds = signals(path)
    normal = normalise(model_files.load(path))
    expected = run(path, feeds)
    assert largest_difference(expected, run(normal, feeds)) <= TOLERANCE
    raised = raise_opset(normal, 20)
    assert opset_of(raised) >= 20
    assert largest_difference(expected, run(raised, feeds)) <= TOLERANCE


def signals(path: Path) -> dict[str, np.ndarray]:
    """Smooth inputs of the shapes a published model asks for, open dimensions filled in."""
    feeds: dict[str, np.ndarray] = {}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for value in session.get_inputs():
        shape = [d if isinstance(d, int) else DYNAMIC.get(d, 1) for d in value.shape]
        size = int(np.prod(shape))
        wave = np.sin(np.arange(size) / 7.0).reshape(shape).astype(np.float32)
        feeds[value.name] = np.full(shape, 16000, np.int64) if value.type == "tensor(int64)" else wave
    return feeds
