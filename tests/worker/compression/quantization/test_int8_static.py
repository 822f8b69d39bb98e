"""int8_static on graphs built here and on a net trained on digits."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.support import graphs
from tests.support.graphs import node
from tests.support.small_nets import (
    digits_net,
    digits_samples,
    loud_images,
    loud_net,
    model,
    model_of,
    named,
    ops,
    optimized,
    run,
    samples,
    snr_db,
)
from winnow.contract.errors import Refusal
from winnow.contract.recipe import Int8Static
from worker.compression.apply import apply
from worker.compression.data.samples import Samples
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.ir.affine import quantized_bias, scales_for_bias, weight_scales
from worker.compression.ir.edit import GraphEdit
from worker.compression.progress import Silent
from worker.compression.quantization.integer.hardware import weight_range
from worker.compression.quantization.integer.static_model import Static
from worker.compression.steps.context import Context, StepResult


def quantize(net: ir.Model, folder: Path, data: Samples | None, **step: Any) -> StepResult:
    asked = Int8Static.model_validate({"kind": "int8_static", **step})
    return apply(net, asked, Context(folder, 0, Silent(), data))


def refused(*args: Any, **step: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        quantize(*args, **step)
    return caught.value


def parameters(net: ir.Model, value: str) -> tuple[Any, Any]:
    """Scale and zero point of the QuantizeLinear behind a value."""
    quantizer = next(n for n in net.graph if n.op_type == "QuantizeLinear" and n.inputs[0].name == value)  # type: ignore[union-attr]
    return tuple(v.const_value.numpy() for v in quantizer.inputs[1:])  # type: ignore[union-attr,return-value]


@pytest.mark.parametrize("calibration", ["minmax", "percentile", "entropy"])
def test_a_trained_net_keeps_its_predictions(calibration: str, tmp_path: Path) -> None:
    data = digits_samples(tmp_path)
    test = next(data.batches(2000))["image"][1200:]
    labels = np.asarray(data.labels)[1200:]
    before = run(digits_net(), {"image": test})
    made = quantize(digits_net(), tmp_path, data, calibration=calibration)
    after = run(made.model, {"image": test})
    assert (made.changed, made.candidates) == (3, 3)
    assert snr_db(before, after) > 19
    accuracy = [float((y.argmax(1) == labels).mean()) for y in (before, after)]
    assert accuracy[0] > 0.95
    assert accuracy[1] > accuracy[0] - 0.01


def test_minmax_loses_little(tmp_path: Path) -> None:
    data = digits_samples(tmp_path)
    x = next(data.batches(2000))["image"]
    made = quantize(digits_net(), tmp_path, data, calibration="minmax")
    assert snr_db(run(digits_net(), {"image": x}), run(made.model, {"image": x})) > 20


def test_weights_are_int8_with_scales_of_the_largest_magnitude_per_channel(tmp_path: Path) -> None:
    weight = named(digits_net(), "conv1").inputs[1].const_value.numpy()  # type: ignore[union-attr]
    made = quantize(digits_net(), tmp_path, digits_samples(tmp_path), weight_range="full")
    dequantizer = named(made.model, "conv1").inputs[1].producer()  # type: ignore[union-attr]
    assert dequantizer is not None
    integers, scales, zeros = (v.const_value.numpy() for v in dequantizer.inputs)  # type: ignore[union-attr]
    assert integers.dtype == zeros.dtype == np.int8
    assert not zeros.any()
    np.testing.assert_allclose(scales, np.abs(weight).max(axis=(1, 2, 3)) / 127, rtol=1e-6)
    np.testing.assert_allclose(integers * scales[:, None, None, None], weight, atol=scales.max() / 2 + 1e-6)


def test_weights_in_7_bits_stay_within_64(tmp_path: Path) -> None:
    made = quantize(digits_net(), tmp_path, digits_samples(tmp_path), weight_range="reduced")
    arrays = [v.const_value.numpy() for v in made.model.graph.initializers.values() if v.const_value]
    assert [np.abs(a.astype(int)).max() for a in arrays if a.dtype == np.int8 and a.any()] == [64, 64, 64]
    assert (made.details["weight_bits"], made.details["weight_range"]) == (7, [-64, 64])


def test_the_largest_sums_are_right_on_this_cpu(tmp_path: Path) -> None:
    """To 40 dB of the Q/DQ graph computed as it is written, and of float32; cut-off sums give less than 10."""
    x = {"image": loud_images()}
    made = quantize(loud_net(), tmp_path, samples(tmp_path, loud_net(), **x)).model
    assert snr_db(run(made, x, fused=False), run(made, x)) > 40
    assert snr_db(run(loud_net(), x), run(made, x)) > 40


def test_the_integer_kernels_give_what_the_graph_says(tmp_path: Path) -> None:
    """To 40 dB, on a trained net."""
    data = digits_samples(tmp_path)
    x = {"image": next(data.batches(2000))["image"]}
    made = quantize(digits_net(), tmp_path, data).model
    assert snr_db(run(made, x, fused=False), run(made, x)) > 40


def test_activations_are_unsigned(tmp_path: Path) -> None:
    made = quantize(digits_net(), tmp_path, digits_samples(tmp_path))
    points = [n.inputs[2].const_value.dtype for n in made.model.graph if n.op_type == "QuantizeLinear"]  # type: ignore[union-attr]
    assert points
    assert set(points) == {ir.DataType.UINT8}


def test_minmax_ranges_are_those_of_the_data(tmp_path: Path) -> None:
    data = digits_samples(tmp_path)
    observed = run(digits_net(), {"image": next(data.batches(2000))["image"]}, "r1")
    made = quantize(digits_net(), tmp_path, data, calibration="minmax", samples=2000)
    scale, zero_point = parameters(made.model, "r1")
    assert zero_point == 0
    np.testing.assert_allclose(scale, observed.max() / 255, rtol=1e-5)


def test_the_logits_stay_float_and_a_pool_shares_its_scale(tmp_path: Path) -> None:
    made = quantize(digits_net(), tmp_path, digits_samples(tmp_path))
    assert made.model.graph.outputs[0].producer().op_type == "Gemm"  # type: ignore[union-attr]
    assert parameters(made.model, "r1")[0] == parameters(made.model, "p1")[0]


def test_batch_normalisation_is_folded_and_the_layer_keeps_its_name(tmp_path: Path) -> None:
    made = quantize(digits_net(), tmp_path, digits_samples(tmp_path))
    assert "BatchNormalization" not in ops(made.model)
    assert named(made.model, "conv2").op_type == "Conv"


def test_excluded_nodes_are_untouched_and_counted(tmp_path: Path) -> None:
    made = quantize(digits_net(), tmp_path, digits_samples(tmp_path), exclude=["head/*", "conv2"])
    assert (made.changed, made.candidates) == (1, 3)
    assert "BatchNormalization" in ops(made.model)
    for name in ("head/gemm", "conv2"):
        before, after = (named(m, name).inputs[1].const_value for m in (digits_net(), made.model))  # type: ignore[union-attr]
        np.testing.assert_array_equal(before.numpy(), after.numpy())  # type: ignore[union-attr]
    rows = {row["name"]: row for row in made.details["layers"]}
    assert rows["conv1"] == {"name": "conv1", "op": "Conv", "quantized": True, "reason": None}
    assert rows["conv2"]["reason"] == "excluded by pattern"


def test_a_bias_for_each_sample_is_none_for_each_channel(tmp_path: Path) -> None:
    """Of a fixed batch of 8 and 8 outputs: [8, 1] is stretched along the outputs."""
    rng = np.random.default_rng(0)
    shapes = {"w1": (24, 32), "w2": (32, 8), "b2": (8, 1)}
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    weights["b2"] *= 100
    net = model(
        """(float[8,24] x) => (float[8,8] y) {
            [one] a = Gemm (x, w1)
            [relu] r = Relu (a)
            [two] y = Gemm (r, w2, b2)
        }""",
        weights,
    )
    x = rng.normal(size=(64, 24)).astype(np.float32)
    made = quantize(net.clone(), tmp_path, samples(tmp_path, net, x=x))
    assert [row["quantized"] for row in made.details["layers"]] == [True, False]
    assert snr_db(run(net, {"x": x[:8]}), run(made.model, {"x": x[:8]})) > 30


def test_layers_without_an_integer_kernel_are_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=(4, 4, 2, 2)).astype(np.float32) for name in ("a", "b")}
    net = model(
        """(float[N,4,8,8] x) => (float[N,4,8,8] y) {
            [conv] mid = Conv (x, a)
            [up] y = ConvTranspose (mid, b)
        }""",
        weights,
    )
    data = samples(tmp_path, net, x=rng.normal(size=(8, 4, 8, 8)).astype(np.float32))
    made = quantize(net, tmp_path, data)
    assert (made.changed, made.candidates) == (1, 2)
    assert made.details["layers"][1]["reason"] == "ConvTranspose has no integer kernel for Q/DQ pairs"


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_the_opset_stays(opset: int, tmp_path: Path) -> None:
    made = quantize(digits_net(opset), tmp_path, digits_samples(tmp_path), samples=16)
    assert made.model.opset_imports == {"": opset}
    assert not any("opset" in note for note in made.notes)


def test_an_older_opset_is_raised_to_13_and_said(tmp_path: Path) -> None:
    data = digits_samples(tmp_path)
    x = next(data.take(64).batches(64))["image"]
    made = quantize(digits_net(11), tmp_path, data, samples=64)
    assert made.model.opset_imports[""] == 13
    assert "from 11 to 13" in made.notes[0]
    assert snr_db(run(digits_net(11), {"image": x}), run(made.model, {"image": x})) > 20


def test_a_residual_sum_stays_in_8_bits_and_a_final_convolution_keeps_the_outputs_name(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    weights = {
        n: rng.normal(size=s).astype(np.float32) / 6 for n, s in (("w1", (8, 3, 3, 3)), ("w2", (8, 8, 3, 3)))
    }
    net = model(
        """(float[1,3,8,8] x) => (float[1,8,8,8] y) {
            [first] a = Conv <pads=[1, 1, 1, 1]> (x, w1)
            [second] b = Conv <pads=[1, 1, 1, 1]> (a, w2)
            [sum] s = Add (a, b)
            [last] y = Conv <pads=[1, 1, 1, 1]> (s, w2)
        }""",
        weights,
    )
    x = rng.normal(size=(20, 3, 8, 8)).astype(np.float32)
    before = run(net, {"x": x[:1]})
    made = quantize(net, tmp_path, samples(tmp_path, net, x=x))
    assert made.model.graph.outputs[0].name == "y"
    assert all(v.producer().op_type == "DequantizeLinear" for v in named(made.model, "sum").inputs)  # type: ignore[union-attr]
    assert snr_db(before, run(made.model, {"x": x[:1]})) > 25


def test_what_a_concat_alone_reads_has_the_scale_of_what_it_gives(tmp_path: Path) -> None:
    """Through a pool as well; an input that something else reads keeps its own, finer scale. With the layer behind in
    float nothing is joined in 8 bits, and each input is measured by itself."""
    rng = np.random.default_rng(0)
    weights = {
        n: rng.normal(size=(*s, 1, 1)).astype(np.float32) for n, s in (("w1", (8, 3)), ("w3", (8, 24)))
    }
    weights |= {n: 5 * rng.normal(size=(8, 8, 1, 1)).astype(np.float32) for n in ("w2", "w4")}
    net = model(
        """(float[N,3,8,8] x) => (float[N,8,8,8] y) {
            [small] a = Conv (x, w1)
            [large] b = Conv (a, w2)
            [pool] p = MaxPool <kernel_shape=[1, 1]> (b)
            [other] c = Conv (a, w4)
            [join] j = Concat <axis=1> (a, p, c)
            [last] y = Conv (j, w3)
        }""",
        weights,
    )
    x = rng.normal(size=(20, 3, 8, 8)).astype(np.float32)
    data = samples(tmp_path, net, x=x)
    made = quantize(net, tmp_path, data).model
    scales = {name: float(parameters(made, name)[0]) for name in "abpcj"}
    assert scales["b"] == scales["p"] == scales["c"] == scales["j"] > 2 * scales["a"]
    assert snr_db(run(net, {"x": x}), run(made, {"x": x})) > 27
    static = Static(GraphEdit(net), weight_range("full"), data)
    static.observe(lambda _: None)
    apart = static.quantized({"last": "stays float"})
    assert len({float(parameters(apart, name)[0]) for name in "abc"}) == 3
    assert snr_db(run(net, {"x": x}), run(apart, {"x": x})) > 27


@pytest.mark.parametrize("last", [0.0, 0.5])
def test_a_padded_shortcut_and_a_mean_stay_in_8_bits(last: float, tmp_path: Path) -> None:
    """Padding with zeros is done on the integers; with another number it is left as it was."""
    rng = np.random.default_rng(0)
    weights: dict[str, Any] = {
        "w1": rng.normal(size=(8, 3, 3, 3)).astype(np.float32) / 3,
        "w2": rng.normal(size=(16, 8, 3, 3)).astype(np.float32) / 6,
        "w3": rng.normal(size=(16, 5)).astype(np.float32),
        "zero": np.array([0, 0]),
        "end": np.array([99, 99]),
        "axes": np.array([2, 3]),
        "two": np.array([2, 2]),
        "pads": np.array([0, 4, 0, 0, 0, 4, 0, 0]),
        "last": np.array(last, np.float32),
    }
    net = model(
        """(float[N,3,8,8] x) => (float[N,5] y) {
            [first] a = Conv <pads=[1, 1, 1, 1]> (x, w1)
            [relu] r = Relu (a)
            [second] b = Conv <pads=[1, 1, 1, 1], strides=[2, 2]> (r, w2)
            [halve] half = Slice (r, zero, end, axes, two)
            [widen] wide = Pad (half, pads, last)
            [sum] s = Add (b, wide)
            [mean] m = ReduceMean <axes=[2, 3], keepdims=0> (s)
            [head] y = Gemm (m, w3)
        }""",
        weights,
    )
    x = rng.normal(size=(20, 3, 8, 8)).astype(np.float32)
    before = run(net, {"x": x})
    made = quantize(net, tmp_path, samples(tmp_path, net, x=x)).model
    assert snr_db(before, run(made, {"x": x})) > 25
    assert named(made, "mean").op_type == "GlobalAveragePool"
    padded = named(made, "widen").inputs[0]
    assert padded is not None
    assert padded.dtype == (ir.DataType.FLOAT if last else ir.DataType.UINT8)


@pytest.mark.parametrize(
    ("axes", "pools"), [([2, 3], True), ([-1, -2], True), ([1], False), ([1, 2, 3], False)]
)
@pytest.mark.parametrize("opset", [17, 18])
def test_only_a_mean_over_the_whole_image_becomes_a_pool(
    axes: list[int], pools: bool, opset: int, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"axes": axes} if opset < 18 else {}
    nodes = [
        node("Conv", "x w", "a", "conv", pads=[1, 1, 1, 1]),
        node("ReduceMean", "a" if opset < 18 else "a axes", "y", "mean", keepdims=1, **given),
    ]
    weights: dict[str, Any] = {"w": np.random.default_rng(0).normal(size=(8, 3, 3, 3)).astype(np.float32)}
    weights |= {"axes": np.array(axes)} if opset >= 18 else {}
    net = model_of(nodes, {"x": ["N", 3, 8, 8]}, {"y": ["N", None, None, None]}, weights, opset)
    x = np.random.default_rng(1).normal(size=(20, 3, 8, 8)).astype(np.float32)
    before = run(net, {"x": x})
    made = quantize(net, tmp_path, samples(tmp_path, net, x=x)).model
    assert (named(made, "mean").op_type == "GlobalAveragePool") is pools
    assert made.graph.outputs[0].name == "y"
    assert snr_db(before, run(made, {"x": x})) > 25


def test_several_inputs_and_a_transformer_block(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(16, 16)).astype(np.float32) / 4,
        "bias": rng.normal(size=16).astype(np.float32),
    }
    net = model(
        """(float[N,5,16] a, float[N,7,16] b) => (float[N,5,16] y) {
            [query] q = MatMul (a, w)
            ["query/bias"] qb = Add (q, bias)
            [key] k = MatMul (b, w)
            [turn] kt = Transpose <perm=[0, 2, 1]> (k)
            [attention] scores = MatMul (qb, kt)
            [softmax] p = Softmax <axis=-1> (scores)
            [mix] y = MatMul (p, b)
        }""",
        weights,
    )
    a, b = (rng.normal(size=(30, n, 16)).astype(np.float32) for n in (5, 7))
    before = run(net, {"a": a, "b": b})
    made = quantize(net, tmp_path, samples(tmp_path, net, a=a, b=b))
    assert (made.changed, made.candidates) == (2, 4)
    assert snr_db(before, run(made.model, {"a": a, "b": b})) > 25


def test_a_layer_in_a_branch_is_quantized_as_all_others(tmp_path: Path) -> None:
    net = branching()
    data = samples(tmp_path, net, x=np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32))
    x = next(data.batches(40))["x"]
    before = run(net, {"x": x})
    made = quantize(net, tmp_path, data)
    assert (made.changed, made.candidates) == (2, 2)
    assert snr_db(before, run(made.model, {"x": x})) > 25


def branching() -> ir.Model:
    """MatMul, then an If whose branches read what it gave and hold a MatMul of their own."""
    rng = np.random.default_rng(3)
    inner, w = (rng.normal(size=(4, 4)).astype(np.float32) for _ in range(2))
    proto = graphs.parse(
        """(float[N,4] x) => (float[N,4] y) {
            [outside] h = MatMul (x, w)
            [reduce] total = ReduceSum <keepdims=0> (x)
            [less] small = Less (total, limit)
            [if] y = If <
                then_branch = then () => (float[] branch) { [inside] branch = MatMul (h, inner) },
                else_branch = else () => (float[] branch) { [negative] branch = Neg (h) }
            > (small)
        }""",
        {"w": w, "limit": np.float32(1e9)},
        opset=17,
        ir_version=8,
    )
    proto.graph.node[3].attribute[0].g.initializer.extend(graphs.tensors({"inner": inner}))
    return normalise(ir.from_proto(proto))


def test_excluding_everything_is_refused(tmp_path: Path) -> None:
    problem = refused(digits_net(), tmp_path, digits_samples(tmp_path), exclude=["*"]).problem
    assert problem.code == "nothing_to_quantize"
    assert "excluded by pattern" in problem.detail


def test_an_activation_that_overflows_names_its_layer(tmp_path: Path) -> None:
    net = model(
        """(float[N,2] x) => (float[N,2] y) {
            [exp] e = Exp (x)
            [product] y = MatMul (e, w)
        }""",
        {"w": np.eye(2, dtype=np.float32)},
    )
    problem = refused(net, tmp_path, samples(tmp_path, net, x=np.full((3, 2), 1e3, np.float32))).problem
    assert (problem.code, problem.layer) == ("not_finite", "exp")


def test_nan_in_the_data_names_array_and_index(tmp_path: Path) -> None:
    x = np.zeros((50, 1, 8, 8), np.float32)
    x[37, 0, 2, 5] = np.nan
    problem = refused(digits_net(), tmp_path, samples(tmp_path, digits_net(), image=x)).problem
    assert problem.code == "not_finite"
    assert "'image'" in problem.detail
    assert "[37, 0, 2, 5]" in problem.detail


def test_a_channel_of_zeros_with_a_large_bias_survives(tmp_path: Path) -> None:
    weight = np.zeros((2, 4), np.float32)
    weight[0] = 1e-12
    net = model(
        "(float[N,4] x) => (float[N,2] y) { [gemm] y = Gemm <transB=1> (x, w, b) }",
        {"w": weight, "b": np.array([3, -2], np.float32)},
    )
    data = samples(tmp_path, net, x=np.random.default_rng(0).uniform(size=(20, 4)).astype(np.float32))
    x = next(data.batches(20))["x"]
    before = run(net, {"x": x})
    np.testing.assert_allclose(before, run(quantize(net, tmp_path, data).model, {"x": x}), rtol=1e-3)


def test_a_bias_leaves_room_for_what_is_added_to_it(tmp_path: Path) -> None:
    """In int32: the largest bias that its range has would come out with the other sign."""
    weights = {"w": np.ones((2, 64), np.float32), "b": np.array([1e6, -1e6], np.float32)}
    weights["v"] = np.eye(2, dtype=np.float32)
    net = model(
        """(float[N,64] x) => (float[N,2] z) {
            [gemm] y = Gemm <transB=1> (x, w, b)
            [behind] z = Gemm <transB=1> (y, v)
        }""",
        weights,
    )
    data = samples(tmp_path, net, x=np.random.default_rng(0).uniform(-1, 1, (20, 64)).astype(np.float32))
    x = next(data.batches(20))["x"]
    made = quantize(net, tmp_path, data, bias_correction=False)
    np.testing.assert_allclose(run(made.model, {"x": x}), run(net, {"x": x}), rtol=0.02)


@pytest.mark.parametrize("op", ["Conv", "Gemm"])
@pytest.mark.parametrize("target", ["cuda", "cpu", "cpu_vnni"])
@pytest.mark.parametrize("size", [1e-6, 1e-30])
def test_tiny_weights_beside_a_bias_keep_the_outputs(
    op: str, target: str, size: float, tmp_path: Path
) -> None:
    """ONNX Runtime makes an int32 of a float bias too, in units of both scales, which it overflowed."""
    rng = np.random.default_rng(0)
    spatial = [1, 1] if op == "Conv" else []
    weights = {
        "w": (rng.normal(size=[8, 8, *spatial]) * size).astype(np.float32),
        "b": rng.normal(size=8).astype(np.float32),
        "v": rng.normal(size=[8, 8, *spatial]).astype(np.float32),
    }
    settings = {} if op == "Conv" else {"transB": 1}
    nodes = [
        node(op, "x w b", "a", "one", **settings),
        node("Relu", "a", "r", "relu"),
        node(op, "r v", "y", "two", **settings),
    ]
    net = model_of(
        nodes, {"x": ["N", 8, *(4 for _ in spatial)]}, {"y": ["N", 8, *(4 for _ in spatial)]}, weights
    )
    x = rng.normal(size=[20, 8, *(4 for _ in spatial)]).astype(np.float32)
    made = quantize(net.clone(), tmp_path, samples(tmp_path, net, x=x), target=target, bias_correction=False)
    assert snr_db(run(net, {"x": x}), run(made.model, {"x": x})) > 35


@given(
    bias=arrays(np.float32, 4, elements=st.floats(-1e6, 1e6, width=32)),
    size=arrays(np.float32, 4, elements=st.floats(0, 1, width=32)),
    activation=st.floats(1e-30, 1e6),
)
def test_every_bias_fits_half_an_int32(bias: Any, size: Any, activation: float) -> None:
    data = np.float32(activation)
    scales = scales_for_bias(weight_scales(size[:, None], 0, 127), bias, data)
    unit = scales.astype(np.float64) * data
    assert (unit > 0).all()
    assert (np.abs(bias) / unit <= 2.0**30 * (1 + 1e-6)).all()
    kept = quantized_bias(bias, scales * data) * unit
    np.testing.assert_allclose(kept, bias, rtol=1e-6, atol=float(unit.max()))


@pytest.mark.parametrize(
    ("shape", "fused"),
    [(["N", 5, 16], "MatMulIntegerToFloat"), ([2, 5, 16], "QLinearMatMul"), (["N", 16], "QLinearMatMul")],
)
def test_a_product_before_a_bias_is_an_integer_kernel_whatever_its_shape(
    shape: list[Any], fused: str, tmp_path: Path
) -> None:
    """Its output stays float where the runtime makes no Gemm of the two."""
    rng = np.random.default_rng(2)
    weights = {"w": rng.normal(size=(16, 8)).astype(np.float32), "b": rng.normal(size=8).astype(np.float32)}
    nodes = [node("MatMul", "x w", "p", "product"), node("Add", "p b", "y", "bias")]
    net = model_of(nodes, {"x": shape}, {"y": [*shape[:-1], 8]}, weights)
    x = rng.normal(size=[d if isinstance(d, int) else 16 for d in shape]).astype(np.float32)
    made = quantize(net, tmp_path, samples(tmp_path, net, x=x)).model
    assert fused in optimized(made, tmp_path)
    assert ops(made).count("QuantizeLinear") == (1 if fused == "MatMulIntegerToFloat" else 2)
