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
    model = graphs.parse(
        """(float[N,4] x) => (float[N,3] y) {
            [turn] w_t = Transpose <perm=[1, 0]> (w)
            [layer] y = MatMul (x, w_t)
        }""",
        {"w": np.arange(12, dtype=np.float32).reshape(3, 4)},
    )
    result = normal(model)
    assert ops(result) == ["MatMul"]
    assert list(result.graph.initializers) == ["w_t"]


def test_a_large_weight_that_another_node_reads_too_is_not_stored_twice() -> None:
    weight = np.ones((64, 64), np.float32)
    model = graphs.parse(
        """(float[N,64] x) => (float[N,64] y) {
            [turn] w_t = Transpose (w)
            [one] a = MatMul (x, w_t)
            [two] y = MatMul (a, w)
        }""",
        {"w": weight},
    )
    assert ops(normal(model)) == ["Transpose", "MatMul", "MatMul"]


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand", "Tile"])
@pytest.mark.parametrize(("side", "folded"), [(16, True), (512, False)])
def test_what_blows_the_file_up_is_left_to_the_run(operator: str, side: int, folded: bool) -> None:
    one = "" if operator == "ConstantOfShape" else "one, "
    model = graphs.parse(
        f"""(float[{side},{side}] x) => (float[{side},{side}] y) {{
            [blow] big = {operator} ({one}shape)
            [add] y = Add (x, big)
        }}""",
        {"one": np.ones((1, 1), np.float32), "shape": np.array([side, side])},
    )
    assert ops(normal(model)) == (["Add"] if folded else [operator, "Add"])


def test_quantized_weights_stay_quantized() -> None:
    model = graphs.parse(
        """(float[N,2] x) => (float[N,2] y) {
            [q] q = QuantizeLinear (w, s)
            [dq] d = DequantizeLinear (q, s)
            [turn] t = Transpose (d)
            [layer] y = MatMul (x, t)
        }""",
        {"w": np.eye(2, dtype=np.float32), "s": np.array(0.1, np.float32)},
    )
    assert ops(normal(model)) == ["QuantizeLinear", "DequantizeLinear", "Transpose", "MatMul"]


def test_a_weight_stored_as_float16_stays_so() -> None:
    model = graphs.parse(
        """(float[N,8] x) => (float[N,8] y) {
            [widen] w32 = Cast <to=1> (w)
            [layer] y = MatMul (x, w32)
        }""",
        {"w": np.eye(8, dtype=np.float16)},
    )
    assert ops(normal(model)) == ["Cast", "MatMul"]


def test_what_is_random_stays_random() -> None:
    model = graphs.parse(
        """(float[2] x) => (float[2] y) {
            [noise] noise = RandomNormalLike (w)
            [add] y = Add (x, noise)
        }""",
        {"w": np.ones(2, np.float32)},
    )
    assert ops(normalise(ir.from_proto(model))) == ["RandomNormalLike", "Add"]


def test_a_constant_output_stays_computed() -> None:
    model = graphs.parse(
        "(float[2] x) => (float[2] y) { [add] y = Add (w, w) }", {"w": np.ones(2, np.float32)}
    )
    assert ops(normal(model)) == ["Add"]


def test_an_operator_with_several_results_is_folded() -> None:
    model = graphs.parse(
        """(float[N,4] x) => (float[N,4] y) {
            [split] a, b = Split <axis=0, num_outputs=2> (w)
            [mul] m = Mul (x, a)
            [add] y = Add (m, b)
        }""",
        {"w": np.arange(8, dtype=np.float32).reshape(2, 4)},
    )
    result = normal(model)
    assert ops(result) == ["Mul", "Add"]
    assert set(result.graph.initializers) == {"a", "b"}


def flattened(declared: list[int | str]) -> onnx.ModelProto:
    """x[N,3,4] reshaped as exporters do: Concat(Gather(Shape(x), 0), Gather(Shape(x), 1) · Gather(Shape(x), 2))."""
    text = f"""(float[N,3,4] x) => (float[{declared[0]},12] y)
        <float[{",".join(map(str, declared))}] r> {{
        [relu] r = Relu (x)
        [shape] s = Shape (r)
        [dim0] d0 = Gather (s, i0)
        [dim1] d1 = Gather (s, i1)
        [dim2] d2 = Gather (s, i2)
        [rest] rest = Mul (d1, d2)
        [target] target = Concat <axis=0> (d0, rest)
        [flatten] y = Reshape (r, target)
    }}"""
    return graphs.parse(text, {f"i{k}": np.array([k]) for k in range(3)})


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
        graph.node.append(graphs.node("Neg", "shift", f"{last}_shift", name="negate"))
        graph.node.append(helper.make_node("Add", [f"{last}_plain", f"{last}_shift"], [last], name="shifted"))
    model.graph.initializer.append(numpy_helper.from_array(np.arange(4, dtype=np.float32), "shift"))
    assert ops(normal(model)) == ["If", "MatMul", "Add", "MatMul", "Add"]


def test_shapes_inside_a_loop_are_left_alone() -> None:
    """The body doubles what it carries: a shape that holds in the first round does not in the next."""
    model = graphs.parse(
        """(float[2] x) => (float[M] y) {
            [loop] y = Loop <body = body (int64 i, bool c, float[2] v) => (bool c2, float[] v2) {
                [shape] s = Shape (v)
                [cast] f = Cast <to=1> (s)
                ["go on"] c2 = Identity (c)
                [grow] v2 = Concat <axis=0> (v, f)
            }> (rounds, , x)
        }""",
        {"rounds": np.array(3)},
    )
    assert "Shape" in ops(normal(model))


def test_external_weights_of_a_large_model_stay_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = graphs.parse(
        """(float[N,64] x) => (float[N,64] y) {
            [turn] t = Transpose (w)
            [layer] y = MatMul (x, t)
        }""",
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

    model = graphs.parse(
        """(float[5] x) => (float[M] y) {
            [size] n = Size (x)
            [equal] "is five" = Equal (n, five)
            [choose] limit = If <
                then_branch = t () => (int64[] t) { [t] t = Identity (limit_1d) },
                else_branch = e () => (int64[] e) { [e] e = Identity (zero) }
            > ("is five")
            [range] r = Range (zero, limit, one)
            [cast] y = Cast <to=1> (r)
        }""",
        {"zero": np.array(0), "one": np.array(1), "five": np.array(5), "limit_1d": np.array([4])},
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
    nodes.append(graphs.node("Tanh", "sum", "y", name="tanh"))
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
