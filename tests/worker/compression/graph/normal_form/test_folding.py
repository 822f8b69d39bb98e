"""What is computed from constants alone is folded, what must not be is not, and the outputs stay equal."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.support import graphs
from tests.support.ort import largest_difference, run
from worker.compression.graph.normal_form import folding
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in ir.traversal.RecursiveGraphIterator(model.graph)]


def normal(model: onnx.ModelProto) -> ir.Model:
    """In normal form, and with the outputs of the original."""
    result = normalise(ir.from_proto(model))
    feeds = graphs.feeds(model)
    assert largest_difference(run(model, feeds), run(result, feeds)) <= 1e-6
    return result


def test_a_transposed_weight_becomes_a_weight_under_the_name_of_the_value() -> None:
    model = graphs.of(
        [
            helper.make_node("Transpose", ["w"], ["w_t"], name="turn", perm=[1, 0]),
            helper.make_node("MatMul", ["x", "w_t"], ["y"], name="layer"),
        ],
        {"x": ["N", 4]},
        {"y": ["N", 3]},
        {"w": np.arange(12, dtype=np.float32).reshape(3, 4)},
    )
    result = normal(model)
    assert ops(result) == ["MatMul"]
    assert list(result.graph.initializers) == ["w_t"]


def test_a_large_weight_that_another_node_reads_too_is_not_stored_twice() -> None:
    weight = np.ones((64, 64), np.float32)
    model = graphs.of(
        [
            helper.make_node("Transpose", ["w"], ["w_t"], name="turn"),
            helper.make_node("MatMul", ["x", "w_t"], ["a"], name="one"),
            helper.make_node("MatMul", ["a", "w"], ["y"], name="two"),
        ],
        {"x": ["N", 64]},
        {"y": ["N", 64]},
        {"w": weight},
    )
    assert ops(normal(model)) == ["Transpose", "MatMul", "MatMul"]


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand", "Tile"])
@pytest.mark.parametrize(("side", "folded"), [(16, True), (512, False)])
def test_what_blows_the_file_up_is_left_to_the_run(operator: str, side: int, folded: bool) -> None:
    one = [] if operator == "ConstantOfShape" else ["one"]
    model = graphs.of(
        [
            helper.make_node(operator, [*one, "shape"], ["big"], name="blow"),
            helper.make_node("Add", ["x", "big"], ["y"], name="add"),
        ],
        {"x": [side, side]},
        {"y": [side, side]},
        {"one": np.ones((1, 1), np.float32), "shape": np.array([side, side], np.int64)},
    )
    assert ops(normal(model)) == (["Add"] if folded else [operator, "Add"])


def test_quantized_weights_stay_quantized() -> None:
    model = graphs.of(
        [
            helper.make_node("QuantizeLinear", ["w", "s"], ["q"], name="q"),
            helper.make_node("DequantizeLinear", ["q", "s"], ["d"], name="dq"),
            helper.make_node("Transpose", ["d"], ["t"], name="turn"),
            helper.make_node("MatMul", ["x", "t"], ["y"], name="layer"),
        ],
        {"x": ["N", 2]},
        {"y": ["N", 2]},
        {"w": np.eye(2, dtype=np.float32), "s": np.array(0.1, np.float32)},
    )
    assert ops(normal(model)) == ["QuantizeLinear", "DequantizeLinear", "Transpose", "MatMul"]


def test_a_weight_stored_as_float16_stays_so() -> None:
    model = graphs.of(
        [
            helper.make_node("Cast", ["w"], ["w32"], name="widen", to=FLOAT),
            helper.make_node("MatMul", ["x", "w32"], ["y"], name="layer"),
        ],
        {"x": ["N", 8]},
        {"y": ["N", 8]},
        {"w": np.eye(8, dtype=np.float16)},
    )
    assert ops(normal(model)) == ["Cast", "MatMul"]


def test_what_is_random_stays_random() -> None:
    model = graphs.of(
        [
            helper.make_node("RandomNormalLike", ["w"], ["noise"], name="noise"),
            helper.make_node("Add", ["x", "noise"], ["y"], name="add"),
        ],
        {"x": [2]},
        {"y": [2]},
        {"w": np.ones(2, np.float32)},
    )
    assert ops(normalise(ir.from_proto(model))) == ["RandomNormalLike", "Add"]


def test_a_constant_output_stays_computed() -> None:
    nodes = [helper.make_node("Add", ["w", "w"], ["y"], name="add")]
    model = graphs.of(nodes, {"x": [2]}, {"y": [2]}, {"w": np.ones(2, np.float32)})
    assert ops(normal(model)) == ["Add"]


def test_an_operator_with_several_results_is_folded() -> None:
    model = graphs.of(
        [
            helper.make_node("Split", ["w"], ["a", "b"], name="split", axis=0, num_outputs=2),
            helper.make_node("Mul", ["x", "a"], ["m"], name="mul"),
            helper.make_node("Add", ["m", "b"], ["y"], name="add"),
        ],
        {"x": ["N", 4]},
        {"y": ["N", 4]},
        {"w": np.arange(8, dtype=np.float32).reshape(2, 4)},
    )
    result = normal(model)
    assert ops(result) == ["Mul", "Add"]
    assert set(result.graph.initializers) == {"a", "b"}


def flattened(declared: list[int | str]) -> onnx.ModelProto:
    """x[N,3,4] reshaped as exporters do: Concat(Gather(Shape(x), 0), Gather(Shape(x), 1) · Gather(Shape(x), 2))."""
    nodes = [helper.make_node("Shape", ["r"], ["s"], name="shape")]
    nodes += [helper.make_node("Gather", ["s", f"i{k}"], [f"d{k}"], name=f"dim{k}") for k in range(3)]
    nodes += [
        helper.make_node("Mul", ["d1", "d2"], ["rest"], name="rest"),
        helper.make_node("Concat", ["d0", "rest"], ["target"], name="target", axis=0),
        helper.make_node("Reshape", ["r", "target"], ["y"], name="flatten"),
    ]
    indices = {f"i{k}": np.array([k], np.int64) for k in range(3)}
    relu = helper.make_node("Relu", ["x"], ["r"], name="relu")
    model = graphs.of([relu, *nodes], {"x": ["N", 3, 4]}, {"y": [declared[0], 12]}, indices)
    model.graph.value_info.append(helper.make_tensor_value_info("r", FLOAT, declared))
    return model


@pytest.mark.parametrize("declared", [["N", 3, 4], [1, 3, 4]], ids=["symbolic", "stale"])
def test_the_batch_is_never_baked_in(declared: list[int | str]) -> None:
    """A file that says [1, 3, 4] of a value inside, beside an input [N, 3, 4], is out of date.

    ONNX Runtime believes the file as it is, and fails for any other batch than 1: normalised it runs.
    """
    result = normalise(ir.from_proto(flattened(declared)))
    assert ops(result) == ["Relu", "Shape", "Gather", "Concat", "Reshape"]
    assert str(result.graph.outputs[0].shape) == "[N,12]"
    for batch in (1, 5):
        array = np.arange(batch * 12, dtype=np.float32).reshape(batch, 3, 4)
        np.testing.assert_array_equal(run(result, {"x": array})[0], array.reshape(batch, 12))


def test_shape_arithmetic_on_static_shapes_is_gone() -> None:
    model = flattened([2, 3, 4])
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", FLOAT, [2, 3, 4]))
    result = normal(model)
    assert ops(result) == ["Relu", "Reshape"]
    np.testing.assert_array_equal(result.graph.initializers["target"].const_value.numpy(), [2, 12])  # type: ignore[union-attr]


def test_constants_of_the_outer_graph_are_folded_inside_a_branch() -> None:
    model = graphs.branches()
    for attribute in model.graph.node[0].attribute:
        graph, last = attribute.g, attribute.g.node[-1].output[0]
        graph.node[-1].output[0] = f"{last}_plain"
        graph.node.append(helper.make_node("Neg", ["shift"], [f"{last}_shift"], name="negate"))
        graph.node.append(helper.make_node("Add", [f"{last}_plain", f"{last}_shift"], [last], name="shifted"))
    model.graph.initializer.append(numpy_helper.from_array(np.arange(4, dtype=np.float32), "shift"))
    assert ops(normal(model)) == ["If", "MatMul", "Add", "MatMul", "Add"]


def test_shapes_inside_a_loop_are_left_alone() -> None:
    """The body doubles what it carries: a shape that holds in the first round does not in the next."""
    body = helper.make_graph(
        [
            helper.make_node("Shape", ["v"], ["s"], name="shape"),
            helper.make_node("Cast", ["s"], ["f"], name="cast", to=FLOAT),
            helper.make_node("Identity", ["c"], ["c2"], name="go on"),
            helper.make_node("Concat", ["v", "f"], ["v2"], name="grow", axis=0),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", INT64, []),
            helper.make_tensor_value_info("c", BOOL, []),
            helper.make_tensor_value_info("v", FLOAT, [2]),
        ],
        [
            helper.make_tensor_value_info("c2", BOOL, []),
            helper.make_tensor_value_info("v2", FLOAT, None),
        ],
    )
    loop = helper.make_node("Loop", ["rounds", "", "x"], ["y"], name="loop", body=body)
    model = graphs.of([loop], {"x": [2]}, {"y": ["M"]}, {"rounds": np.array(3, np.int64)})
    assert "Shape" in ops(normal(model))


def test_external_weights_of_a_large_model_stay_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = graphs.of(
        [
            helper.make_node("Transpose", ["w"], ["t"], name="turn"),
            helper.make_node("MatMul", ["x", "t"], ["y"], name="layer"),
        ],
        {"x": ["N", 64]},
        {"y": ["N", 64]},
        {"w": np.ones((64, 64), np.float32)},
    )
    path = tmp_path / "model.onnx"
    onnx.save_model(model, str(path), save_as_external_data=True, location="w", size_threshold=0)
    assert ops(normalise(model_files.load(path))) == ["MatMul"]
    monkeypatch.setattr(folding, "LARGE_EXTERNAL_BYTES", 1000)
    large = normalise(model_files.load(path))
    assert ops(large) == ["Transpose", "MatMul"]
    assert isinstance(large.graph.initializers["w"].const_value, ir.ExternalTensor)


def test_a_condition_stays_computed_where_the_branch_would_not_be_accepted() -> None:
    """ONNX Runtime computes a Range up to a limit of shape [1], until that shape is known when it loads."""

    def branch(name: str, constant: str) -> onnx.GraphProto:
        node = helper.make_node("Identity", [constant], [name], name=name)
        return helper.make_graph(
            [node], name, [], [helper.make_value_info(name, helper.make_tensor_type_proto(INT64, None))]
        )

    model = graphs.of(
        [
            helper.make_node("Size", ["x"], ["n"], name="size"),
            helper.make_node("Equal", ["n", "five"], ["is five"], name="equal"),
            helper.make_node(
                "If",
                ["is five"],
                ["limit"],
                name="choose",
                then_branch=branch("t", "limit_1d"),
                else_branch=branch("e", "zero"),
            ),
            helper.make_node("Range", ["zero", "limit", "one"], ["r"], name="range"),
            helper.make_node("Cast", ["r"], ["y"], name="cast", to=FLOAT),
        ],
        {"x": [5]},
        {"y": ["M"]},
        {
            "zero": np.array(0, np.int64),
            "one": np.array(1, np.int64),
            "five": np.array(5, np.int64),
            "limit_1d": np.array([4], np.int64),
        },
    )
    assert ops(normal(model))[:3] == ["Size", "Equal", "If"]


UNARY = ["Neg", "Abs", "Relu", "Sigmoid", "Transpose", "Identity"]
BINARY = ["Add", "Mul", "Sub", "MatMul", "Concat"]


@st.composite
def networks(draw: st.DrawFn) -> onnx.ModelProto:
    """Random square arithmetic on an input and constants of different sizes, by operators that fit any two values."""
    side = draw(st.sampled_from([2, 16, 40]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    weights = {f"w{i}": rng.standard_normal((side, side)).astype(np.float32) / side for i in range(3)}
    values, nodes = ["x", *weights], []
    for index in range(draw(st.integers(1, 12))):
        operator = draw(st.sampled_from(UNARY + BINARY[:-1]))
        arity = 1 if operator in UNARY else 2
        inputs = [draw(st.sampled_from(values)) for _ in range(arity)]
        nodes.append(helper.make_node(operator, inputs, [f"v{index}"], name=f"n{index}"))
        values.append(f"v{index}")
    nodes.append(helper.make_node("Add", ["x", values[-1]], ["sum"], name="last"))
    nodes.append(helper.make_node("Tanh", ["sum"], ["y"], name="tanh"))
    return graphs.of(nodes, {"x": [side, side]}, {"y": [side, side]}, weights)


@settings(max_examples=40, deadline=None)
@given(networks())
def test_folding_changes_no_output_grows_no_file_beyond_the_bound_and_is_done_once(
    model: onnx.ModelProto,
) -> None:
    before = model_files.weight_bytes(ir.from_proto(model))
    result = normal(model)
    gone = len(model.graph.node) - len(ops(result))
    assert model_files.weight_bytes(result) <= before + gone * folding.MAX_ADDED_BYTES
    content = ir.to_proto(result).SerializeToString(deterministic=True)
    again = normalise(ir.from_proto(onnx.ModelProto.FromString(content)))
    assert ir.to_proto(again).SerializeToString(deterministic=True) == content
