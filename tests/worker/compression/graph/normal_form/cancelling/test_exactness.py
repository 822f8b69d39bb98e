"""What exporters write that changes nothing goes, and no bit of the outputs with it."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from onnx import TensorProto

from tests.support import graphs
from tests.support.exported_habits import CHANNELS, SIDE, exported
from tests.support.ort import run
from worker.compression.graph.normal_form.normalise import normalise

X = np.random.default_rng(3).normal(size=(2, CHANNELS, SIDE, SIDE)).astype(np.float32)
X[0, 0, 0, :3] = [-0.0, np.inf, np.nan]


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in ir.traversal.RecursiveGraphIterator(model.graph)]


def is_equal(before: onnx.ModelProto, after: ir.Model, **feeds: np.ndarray) -> bool:
    pairs = zip(run(before, feeds, optimize=False), run(after, feeds, optimize=False), strict=True)
    return all((a.dtype, a.tobytes()) == (b.dtype, b.tobytes()) for a, b in pairs)


@settings(max_examples=40, deadline=None)
@given(exported())
def test_no_bit_changes_and_a_second_time_nothing_does(made: onnx.ModelProto) -> None:
    normal = normalise(ir.from_proto(made))
    assert is_equal(made, normal, x=X)
    assert len(operators(normal)) <= len(made.graph.node)
    again = normalise(normal.clone())
    assert operators(again) == operators(normal)
    assert is_equal(made, again, x=X)


BACK = "[a] b = Transpose <perm=[1, 2, 0]> (x) [b] c = Transpose <perm=[2, 0, 1]> (b)"


@pytest.mark.parametrize(
    ("body", "remaining"),
    [
        (BACK, []),
        ("[a] b = Transpose <perm=[1, 2, 0]> (x) [b] c = Transpose <perm=[1, 2, 0]> (b)", ["Transpose"]),
        ("[a] b = Neg (x) [b] c = Neg (b)", []),
        ("[a] c = Identity (x)", []),
        ("[a] b = Cast <to=11> (x) [b] c = Cast <to=1> (b)", []),
        ("[a] b = Cast <to=10> (x) [b] c = Cast <to=1> (b)", ["Cast", "Cast"]),
        ("[a] b = Cast <to=11> (x) [b] d = Cast <to=10> (b) [c] c = Cast <to=1> (d)", ["Cast", "Cast"]),
        ("[a] c = Mul (x, one)", []),
        ("[a] c = Mul (x, gains)", ["Mul"]),
        ("[a] c = Mul (x, wide)", ["Mul"]),
        ("[a] c = Sub (x, zero)", []),
        ("[a] c = Add (x, zero)", ["Add"]),
        ("[a] b = Abs (x) [b] c = Abs (b)", ["Abs"]),
        ("[a] b = Reshape (x, flat) [b] c = Reshape (b, cube)", []),
        ("[a] c = Reshape (x, cube)", []),
        ("[a] c = Expand (x, cube)", []),
        ("[a] b = Flatten (x) [b] c = Reshape (b, cube)", []),
        ("[a] c = Pad (x, nothing)", []),
        ("[a] c = Tile (x, ones)", []),
        ("[a] c = Slice (x, starts, ends, axes)", []),
        ("[a] b = Unsqueeze (x, axes) [b] c = Squeeze (b, axes)", []),
        ("[a] b = Concat <axis=0> (x) [b] d = Max (b) [c] c = Dropout (d)", []),
    ],
)
def test_what_changes_nothing_goes_and_what_might_stays(body: str, remaining: list[str]) -> None:
    constants = {
        "one": np.ones((1, 1), np.float32),
        "gains": np.ones((3, 1), np.float32),
        "wide": np.ones((1, 1, 1, 1), np.float32),
        "zero": np.zeros(1, np.float32),
        "flat": np.array([-1]),
        "cube": np.array([2, 3, 4]),
        "nothing": np.zeros(6, np.int64),
        "ones": np.ones(3, np.int64),
        "starts": np.array([0]),
        "ends": np.array([3]),
        "axes": np.array([1]),
    }
    used = {name: array for name, array in constants.items() if f" {name})" in body or f", {name}," in body}
    rank = "float[1,2,3,4]" if "wide" in used else "float[2,3,4]"
    made = graphs.parse(
        f"(float[2,3,4] x) => ({rank} y) {{ {body} [last] y = Softplus (c) }}", used, opset=13
    )
    normal = normalise(ir.from_proto(made))
    assert operators(normal) == [*remaining, "Softplus"]
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    assert is_equal(made, normal, x=x)


def test_slices_of_other_axes_become_a_single_one_and_of_the_same_axis_stay() -> None:
    places = {"zero": [0], "two": [2], "one": [1]}
    constants = {name: np.array(numbers) for name, numbers in places.items()}
    made = graphs.parse(
        """(float[4,4] x) => (float[1,1] y) {
            [a] a = Slice (x, one, two, zero) [b] b = Slice (a, zero, two, one) [c] y = Slice (b, one, two, one)
        }""",
        constants,
    )
    normal = normalise(ir.from_proto(made))
    assert operators(normal) == ["Slice", "Slice"]
    assert is_equal(made, normal, x=np.arange(16, dtype=np.float32).reshape(4, 4))


def test_an_output_keeps_its_name_when_the_node_before_it_goes() -> None:
    made = graphs.parse(
        "(float[2,3] x) => (float[2,3] y) { [a] a = Relu (x) [b] b = Neg (a) [c] y = Neg (b) }"
    )
    normal = normalise(ir.from_proto(made))
    assert operators(normal) == ["Relu"]
    assert [value.name for value in normal.graph.outputs] == ["y"]


def test_shapes_that_a_file_only_declares_are_not_believed() -> None:
    """It says [1, 12] of a value that has as many rows as the input: the Reshape to [1, 12] is none."""
    made = graphs.parse(
        "(float[N,12] x) => (float[1,M] y) { [a] a = Relu (x) [b] b = Reshape (a, shape) [c] y = Neg (b) }",
        {"shape": np.array([1, -1])},
    )
    made.graph.value_info.append(onnx.helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 12]))
    assert operators(normalise(ir.from_proto(made))) == ["Relu", "Reshape", "Neg"]


def test_equal_expressions_are_joined_but_for_what_is_random_or_an_output() -> None:
    made = graphs.parse(
        """(float[N,3] x) => (float[N,3] y, float[N,3] z) {
            [s1] s1 = Shape (x) [g1] g1 = Gather (s1, i) [s2] s2 = Shape (x) [g2] g2 = Gather (s2, j)
            [r1] r1 = RandomNormalLike (x) [r2] r2 = RandomNormalLike (x)
            [sum] t = Sum (r1, r2)
            [b1] b1 = Cast <to=1> (g1) [b2] b2 = Cast <to=1> (g2) [b] b = Add (b1, b2)
            [y] y = Mul (x, b) [z] z = Mul (t, b)
        }""",
        {"i": np.array(0), "j": np.array(0)},
    )
    kept = operators(normalise(ir.from_proto(made)))
    assert [kept.count(kind) for kind in ("Shape", "Gather", "Cast", "RandomNormalLike")] == [1, 1, 1, 2]


def test_layers_with_equal_weights_stay_two_since_a_training_may_make_them_differ() -> None:
    weight = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    text = (
        "(float[N,3] x) => (float[N,3] y) { [a] a = MatMul (x, v) [b] b = MatMul (x, w) [c] y = Sub (a, b) }"
    )
    made = graphs.parse(text, {"v": weight, "w": weight.copy()})
    assert operators(normalise(ir.from_proto(made))) == ["MatMul", "MatMul", "Sub"]
