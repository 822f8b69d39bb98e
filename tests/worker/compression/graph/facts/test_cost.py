"""Parameters, multiply-accumulates and zeros, against numbers worked out by hand."""

import numpy as np
import onnx_ir as ir
import pytest

from tests.support import graphs
from worker.compression.graph.facts.cost import layer_table, macs, parameters, sparsity
from worker.compression.graph.normal_form.normalise import normalise


def model_of(text: str, weights: dict[str, np.ndarray] | None = None) -> ir.Model:
    return ir.from_proto(graphs.parse(text, weights))


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def test_a_cnn() -> None:
    model = ir.from_proto(graphs.cnn(channels=8, size=8))
    assert parameters(model) == (8 * 3 * 9 + 8) + (8 * 8 * 9 + 8) + (10 * 8 + 10)
    assert macs(model) == 64 * 8 * 3 * 9 + 64 * 8 * 8 * 9 + 10 * 8
    assert macs(model, {"image": [4, 3, 8, 8]}) == 4 * macs(model)


def test_the_layer_table_names_op_weight_dtype_and_cost_of_each_layer() -> None:
    table = layer_table(ir.from_proto(graphs.cnn(channels=8, size=8)))
    assert [(x.name, x.op, x.weight, x.dtype, x.parameters, x.macs) for x in table] == [
        ("conv1", "Conv", [8, 3, 3, 3], "float32", 216, 13824),
        ("conv2", "Conv", [8, 8, 3, 3], "float32", 576, 36864),
        ("fc", "Gemm", [10, 8], "float32", 80, 80),
    ]


def test_an_lstm_costs_steps_times_both_weights() -> None:
    model = ir.from_proto(graphs.lstm(inputs=6, hidden=5, steps=7))
    assert parameters(model) == 4 * 5 * 6 + 4 * 5 * 5 + 8 * 5 + 5 * 4
    assert macs(model) == 7 * (4 * 5 * 6 + 4 * 5 * 5) + 7 * 5 * 4
    assert macs(model, {"signal": [7, 3, 6]}) == 3 * macs(model)


@pytest.mark.parametrize(
    ("layer", "x", "w", "expected"),
    [
        ("Conv <group=4, pads=[1, 1, 1, 1]> (x, w)", "1,4,5,5", ones(4, 1, 3, 3), 25 * 4 * 9),
        ("Conv <strides=[2, 2]> (x, w)", "1,2,7,7", ones(3, 2, 3, 3), 9 * 3 * 2 * 9),
        ("ConvTranspose <strides=[2, 2]> (x, w)", "1,3,4,4", ones(3, 5, 2, 2), 16 * 3 * 5 * 4),
        ("MatMul (x, w)", "1,6,4", ones(4, 3), 6 * 3 * 4),
        ("MatMul (x, w)", "2,6,4", ones(4), 2 * 6 * 4),
        ("Gemm <transB=1> (x, w)", "2,4", ones(3, 4), 2 * 3 * 4),
        ("Gemm <transA=1> (x, w)", "4,2", ones(4, 3), 2 * 3 * 4),
        ('Einsum <equation="bij,jk->bik"> (x, w)', "2,3,4", ones(4, 5), 2 * 3 * 4 * 5),
        ("Relu (x)", "2,3", None, 0),
    ],
)
def test_formulas(layer: str, x: str, w: np.ndarray | None, expected: int) -> None:
    text = f"(float[{x}] x) => (float[] y) {{ [node] y = {layer} }}"
    assert macs(model_of(text, {} if w is None else {"w": w})) == expected


def test_a_product_of_two_activations_costs_but_is_no_layer() -> None:
    model = model_of("(float[2,3] a, float[3,4] b) => (float[] y) { [n] y = MatMul (a, b) }")
    assert macs(model) == 24
    assert layer_table(model) == []


def test_an_open_shape_has_unknown_cost_until_it_is_given() -> None:
    model = model_of("(float[N,3,H,W] x) => (float[] y) { [conv] y = Conv (x, w) }", {"w": ones(4, 3, 1, 1)})
    assert macs(model) is None
    assert layer_table(model)[0].macs is None
    assert macs(model, {"x": [1, 3, 10, 20]}) == 200 * 12
    assert model.graph.inputs[0].shape == ir.Shape(["N", 3, "H", "W"])


def test_a_shape_that_is_computed_in_the_graph_is_followed() -> None:
    """Flattening as exporters write it, by a product of dimensions, which onnx's own inference does not follow."""
    constants = {name: np.array([n], np.int64) for name, n in (("one", 1), ("three", 3), ("minus", -1))}
    model = model_of(
        """(float[N,3,4] x) => (float[] y) {
            shape = Shape (x)
            tail = Slice (shape, one, three)
            product = ReduceProd <keepdims=1> (tail)
            target = Concat <axis=0> (minus, product)
            flat = Reshape (x, target)
            [fc] y = MatMul (flat, w)
        }""",
        {"w": ones(12, 5), **constants},
    )
    assert macs(model) == 60
    assert macs(model, {"x": [2, 3, 4]}) == 120
    assert "N" in str(model.graph.inputs[0].shape)


def test_a_product_with_zeros_as_long_as_the_batch_has_its_cost() -> None:
    """The first step of an unrolled recurrent network: known with the batch, the whole product is a constant."""
    weights = {
        "bias": np.ones(6, np.float32),
        "width": np.array([6], np.int64),
        "pick": np.array([True, False]),
        "zero": np.zeros((), np.float32),
        "first": np.zeros(1, np.int64),
        "r": np.ones((6, 6), np.float32),
        "w": np.ones((4, 6), np.float32),
    }
    model = ir.from_proto(
        graphs.parse(
            """(float[N,4] x) => (float[1,N,6] y) {
            n = Shape <start=0, end=1> (x)
            sizes = Concat <axis=0> (n, width)
            shape = Where (pick, sizes, sizes)
            state = Expand (zero, shape)
            lifted = Unsqueeze (state, first)
            before = MatMul (lifted, r)
            now = MatMul (x, w)
            shifted = Add (before, bias)
            y = Add (shifted, now)
        }""",
            weights,
        )
    )
    assert macs(model) == 6 * 6 + 4 * 6


def test_a_shape_that_does_not_fit_is_an_error() -> None:
    model = ir.from_proto(graphs.cnn())
    with pytest.raises(ValueError, match="image"):
        macs(model, {"image": [1, 3, 8]})
    with pytest.raises(ValueError, match="image"):
        macs(model, {"image": [1, 4, 8, 8]})


def test_of_two_branches_the_dearer_counts() -> None:
    assert macs(normalise(ir.from_proto(graphs.branches()))) == 16


def test_sparsity_is_the_share_of_zero_weights_biases_aside() -> None:
    weight = np.array([[0, 1, 0, 2], [0, 0, 3, 0]], np.float32)
    model = model_of(
        "(float[1,4] x) => (float[] y) { y = Gemm <transB=1> (x, w, b) }",
        {"w": weight, "b": np.zeros(2, np.float32)},
    )
    assert sparsity(model) == 5 / 8


def quantized() -> ir.Model:
    """A Gemm with a per-channel int8 weight (zero points 3 and 0) behind a DequantizeLinear."""
    weights = {
        "q": np.array([[3, 1, 3, 4], [0, 2, 3, 4]], np.int8),
        "s": np.array([0.1, 0.2], np.float32),
        "z": np.array([3, 0], np.int8),
        "b": ones(2),
    }
    return model_of(
        """(float[1,4] x) => (float[] y) {
            w = DequantizeLinear <axis=0> (q, s, z)
            [fc] y = Gemm <transB=1> (x, w, b)
        }""",
        weights,
    )


def test_quantized_weights_count_as_the_numbers_they_stand_for() -> None:
    model = quantized()
    assert parameters(model) == 8 + 2
    assert sparsity(model) == 3 / 8
    layer = layer_table(model)[0]
    assert (layer.name, layer.weight, layer.dtype, layer.macs) == ("fc", [2, 4], "int8", 8)


def test_a_single_number_is_a_parameter_where_a_layer_holds_it() -> None:
    weights = {"w": ones(1, 4), "b": ones(1), "power": ones(1)}
    text = """(float[2,4] x) => (float[] y) {
        h = Gemm <transB=1> (x, w, b)
        y = Pow (h, power)
    }"""
    assert parameters(model_of(text, weights)) == 5


def test_running_statistics_are_no_parameters() -> None:
    weights = {name: ones(4) for name in ("scale", "shift", "mean", "variance")}
    text = "(float[2,4,3,3] x) => (float[] y) { y = BatchNormalization (x, scale, shift, mean, variance) }"
    assert parameters(model_of(text, weights)) == 8


def test_the_scales_of_a_dynamically_quantized_weight_are_no_parameters() -> None:
    weights = {"q": np.ones((4, 3), np.int8), "z": np.zeros(3, np.int8), "s": ones(3)}
    model = model_of(
        """(float[2,4] x) => (float[] y) {
            xq, xs, xz = DynamicQuantizeLinear (x)
            [fc] i = MatMulInteger (xq, q, xz, z)
            f = Cast <to=1> (i)
            scale = Mul (xs, s)
            y = Mul (f, scale)
        }""",
        weights,
    )
    assert (parameters(model), macs(model)) == (12, 24)


def test_constants_that_only_steer_are_no_parameters() -> None:
    weights = {
        "shape": np.array([1, 4], np.int64),
        "low": np.array(0, np.float32),
        "scales": np.array([1, 2], np.float32),
        "table": ones(5, 4),
        "slope": ones(4),
        "index": np.array([0], np.int64),
    }
    model = model_of(
        """(float[4] x) => (float[] c, float[] t, float[] d) {
            a = Reshape (x, shape)
            b = Clip (a, low)
            c = Resize (b, , scales)
            [embedding] t = Gather (table, index)
            d = PRelu (a, slope)
        }""",
        weights,
    )
    assert parameters(model) == 20 + 4
    assert [(x.name, x.macs) for x in layer_table(model)] == [("embedding", 0)]


def test_integer_forms_cost_what_the_float_forms_do() -> None:
    def q(*shape: int) -> np.ndarray:
        return np.ones(shape, np.uint8)

    scalars = {"s": np.array(0.5, np.float32), "z": np.array(0, np.uint8)}
    model = model_of(
        "(uint8[1,3,4,4] x) => (uint8[] y) { y = QLinearConv (x, s, z, w, s, z, s, z) }",
        {"w": q(2, 3, 1, 1), **scalars},
    )
    assert (macs(model), parameters(model)) == (16 * 6, 6)
    model = model_of(
        "(uint8[5,4] x) => (uint8[] y) { y = QLinearMatMul (x, s, z, w, s, z, s, z) }",
        {"w": q(4, 3), **scalars},
    )
    assert (macs(model), parameters(model)) == (60, 12)
    for op, x, w, expected in (
        ("ConvInteger", "1,3,4,4", q(2, 3, 1, 1), 96),
        ("MatMulInteger", "5,4", q(4, 3), 60),
    ):
        model = model_of(f"(uint8[{x}] x) => (int32[] y) {{ y = {op} (x, w) }}", {"w": w})
        assert (macs(model), parameters(model)) == (expected, w.size)
