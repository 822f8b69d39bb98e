"""Parameters, multiply-accumulates and zeros, against numbers worked out by hand."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.support import graphs
from worker.compression.graph.facts.cost import layer_table, macs, parameters, sparsity
from worker.compression.graph.normal_form.normalise import normalise


def model_of(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int | str]],
    weights: dict[str, np.ndarray],
    outputs: list[str],
    *,
    domains: tuple[str, ...] = (),
    dtype: int = TensorProto.FLOAT,
) -> ir.Model:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=graphs.IR_VERSION))


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
    ("op", "attributes", "x", "w", "expected"),
    [
        ("Conv", {"group": 4, "pads": [1, 1, 1, 1]}, [1, 4, 5, 5], ones(4, 1, 3, 3), 25 * 4 * 9),
        ("Conv", {"strides": [2, 2]}, [1, 2, 7, 7], ones(3, 2, 3, 3), 9 * 3 * 2 * 9),
        ("ConvTranspose", {"strides": [2, 2]}, [1, 3, 4, 4], ones(3, 5, 2, 2), 16 * 3 * 5 * 4),
        ("MatMul", {}, [1, 6, 4], ones(4, 3), 6 * 3 * 4),
        ("MatMul", {}, [2, 6, 4], ones(4), 2 * 6 * 4),
        ("Gemm", {"transB": 1}, [2, 4], ones(3, 4), 2 * 3 * 4),
        ("Gemm", {"transA": 1}, [4, 2], ones(4, 3), 2 * 3 * 4),
        ("Einsum", {"equation": "bij,jk->bik"}, [2, 3, 4], ones(4, 5), 2 * 3 * 4 * 5),
        ("Relu", {}, [2, 3], None, 0),
    ],
)
def test_formulas(
    op: str, attributes: dict[str, object], x: list[int], w: np.ndarray | None, expected: int
) -> None:
    names = ["x"] if w is None else ["x", "w"]
    inputs = names[::-1] if op == "Einsum" and attributes["equation"] == "w" else names
    node = helper.make_node(op, inputs, ["y"], name="node", **attributes)
    model = model_of([node], {"x": x}, {} if w is None else {"w": w}, ["y"])
    assert macs(model) == expected


def test_a_product_of_two_activations_costs_but_is_no_layer() -> None:
    model = model_of(
        [helper.make_node("MatMul", ["a", "b"], ["y"], name="n")], {"a": [2, 3], "b": [3, 4]}, {}, ["y"]
    )
    assert macs(model) == 24
    assert layer_table(model) == []


def test_an_open_shape_has_unknown_cost_until_it_is_given() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv")
    model = model_of([node], {"x": ["N", 3, "H", "W"]}, {"w": ones(4, 3, 1, 1)}, ["y"])
    assert macs(model) is None
    assert layer_table(model)[0].macs is None
    assert macs(model, {"x": [1, 3, 10, 20]}) == 200 * 12
    assert model.graph.inputs[0].shape == ir.Shape(["N", 3, "H", "W"])


def test_a_shape_that_is_computed_in_the_graph_is_followed() -> None:
    """Flattening as exporters write it, by a product of dimensions, which onnx's own inference does not follow."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "one", "three"], ["tail"]),
        helper.make_node("ReduceProd", ["tail"], ["product"], keepdims=1),
        helper.make_node("Concat", ["minus", "product"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"], name="fc"),
    ]
    constants = {name: np.array([n], np.int64) for name, n in (("one", 1), ("three", 3), ("minus", -1))}
    model = model_of(nodes, {"x": ["N", 3, 4]}, {"w": ones(12, 5), **constants}, ["y"])
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
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)
    model = model_of([node], {"x": [1, 4]}, {"w": weight, "b": np.zeros(2, np.float32)}, ["y"])
    assert sparsity(model) == 5 / 8


def quantized() -> ir.Model:
    """A Gemm with a per-channel int8 weight (zero points 3 and 0) behind a DequantizeLinear."""
    weights = {
        "q": np.array([[3, 1, 3, 4], [0, 2, 3, 4]], np.int8),
        "s": np.array([0.1, 0.2], np.float32),
        "z": np.array([3, 0], np.int8),
        "b": ones(2),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=0),
        helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="fc", transB=1),
    ]
    return model_of(nodes, {"x": [1, 4]}, weights, ["y"])


def test_quantized_weights_count_as_the_numbers_they_stand_for() -> None:
    model = quantized()
    assert parameters(model) == 8 + 2
    assert sparsity(model) == 3 / 8
    layer = layer_table(model)[0]
    assert (layer.name, layer.weight, layer.dtype, layer.macs) == ("fc", [2, 4], "int8", 8)


def test_a_single_number_is_a_parameter_where_a_layer_holds_it() -> None:
    weights = {"w": ones(1, 4), "b": ones(1), "power": ones(1)}
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
        helper.make_node("Pow", ["h", "power"], ["y"]),
    ]
    assert parameters(model_of(nodes, {"x": [2, 4]}, weights, ["y"])) == 5


def test_running_statistics_are_no_parameters() -> None:
    weights = {name: ones(4) for name in ("scale", "shift", "mean", "variance")}
    node = helper.make_node("BatchNormalization", ["x", *weights], ["y"])
    assert parameters(model_of([node], {"x": [2, 4, 3, 3]}, weights, ["y"])) == 8


def test_the_scales_of_a_dynamically_quantized_weight_are_no_parameters() -> None:
    weights = {"q": np.ones((4, 3), np.int8), "z": np.zeros(3, np.int8), "s": ones(3)}
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
        helper.make_node("MatMulInteger", ["xq", "q", "xz", "z"], ["i"], name="fc"),
        helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["xs", "s"], ["scale"]),
        helper.make_node("Mul", ["f", "scale"], ["y"]),
    ]
    model = model_of(nodes, {"x": [2, 4]}, weights, ["y"])
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
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["a"]),
        helper.make_node("Clip", ["a", "low"], ["b"]),
        helper.make_node("Resize", ["b", "", "scales"], ["c"]),
        helper.make_node("Gather", ["table", "index"], ["t"], name="embedding"),
        helper.make_node("PRelu", ["a", "slope"], ["d"]),
    ]
    model = model_of(nodes, {"x": [4]}, weights, ["c", "t", "d"])
    assert parameters(model) == 20 + 4
    assert [(x.name, x.macs) for x in layer_table(model)] == [("embedding", 0)]


def test_integer_forms_cost_what_the_float_forms_do() -> None:
    def q(*shape: int) -> np.ndarray:
        return np.ones(shape, np.uint8)

    scalars = {"s": np.array(0.5, np.float32), "z": np.array(0, np.uint8)}
    conv = helper.make_node("QLinearConv", ["x", "s", "z", "w", "s", "z", "s", "z"], ["y"])
    model = model_of(
        [conv], {"x": [1, 3, 4, 4]}, {"w": q(2, 3, 1, 1), **scalars}, ["y"], dtype=TensorProto.UINT8
    )
    assert (macs(model), parameters(model)) == (16 * 6, 6)
    product = helper.make_node("QLinearMatMul", ["x", "s", "z", "w", "s", "z", "s", "z"], ["y"])
    model = model_of([product], {"x": [5, 4]}, {"w": q(4, 3), **scalars}, ["y"], dtype=TensorProto.UINT8)
    assert (macs(model), parameters(model)) == (60, 12)
    for op, x, w, expected in (
        ("ConvInteger", [1, 3, 4, 4], q(2, 3, 1, 1), 96),
        ("MatMulInteger", [5, 4], q(4, 3), 60),
    ):
        model = model_of(
            [helper.make_node(op, ["x", "w"], ["y"])], {"x": x}, {"w": w}, ["y"], dtype=TensorProto.UINT8
        )
        assert (macs(model), parameters(model)) == (expected, w.size)
