"""What moves values and adds some has a scale that reaches what it adds: the outputs are as good as 8 bits allow.

    x ─ Conv ─ Relu ─ one operator ─ Conv ─ y

Compared with the graph in which everything that a convolution reads or gives is rounded to 8 bits of its own range.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.graphs import node
from tests.support.small_nets import model_of, run, samples, snr_db
from winnow.contract.recipe import Int8Static
from worker.compression.apply import apply
from worker.compression.ir.affine import Range, quantized_weight, weight_scales
from worker.compression.progress import Silent
from worker.compression.steps.context import Context

WORSE_DB = 3.0
"""Than the oracle, at most: it rounds no sums and no biases."""
RNG = np.random.default_rng(0)
SHAPE = (8, 6, 6)
WEIGHTS: dict[str, Any] = {
    "w": (RNG.normal(size=(8, 3, 3, 3)) / 5).astype(np.float32),
    "v": (RNG.normal(size=(4, 8, 3, 3)) / 9).astype(np.float32),
    "x_shape": np.array([1, 8, 6, 6]),
}
X = RNG.normal(size=(16, 3, 8, 8)).astype(np.float32)
MASK = np.zeros((1, *SHAPE), bool)
MASK[0, ::3, ::2] = True
GRID = RNG.uniform(-1.3, 1.3, (1, 6, 6, 2)).astype(np.float32)
PADS = np.array([0, 0, 1, 1, 0, 0, 1, 1])
Made = tuple[list[onnx.NodeProto], dict[str, Any]]


def added(kind: str, number: float) -> Made:
    """Nodes from `r` [N, 8, 6, 6] to `m` [N, 8, ., .] that bring the number in, and their constants."""
    c: dict[str, Any] = {"c": np.array(number, np.float32)}
    match kind:
        case "Pad":
            return [node("Pad", "r pads c", "m", "op")], c | {"pads": PADS}
        case "Pad of a computed number":
            return [
                node("Pad", "r pads d", "m", "op"),
            ], c | {"pads": PADS}
        case "Pad, pooled":
            pool = node("MaxPool", "p", "m", "pool", kernel_shape=[2, 2])
            return [node("Pad", "r pads c", "p", "op"), pool], c | {"pads": PADS}
        case "Where":
            return [node("Where", "mask c r", "m", "op")], c | {"mask": MASK}
        case "Clip":
            return [node("Clip", "r c", "m", "op")], c
        case "Max" | "Min":
            return [node(kind, "r c", "m", "op")], c
        case "ScatterND":
            at = np.stack(np.meshgrid(np.arange(16), [1, 4], indexing="ij"), -1).reshape(-1, 2)
            values = np.full((32, 6, 6), number, np.float32)
            return [node("ScatterND", "r at values", "m", "op")], {"at": at, "values": values}
        case "ScatterElements":
            at = np.full((16, 1, 6, 6), 3)
            values = np.full((16, 1, 6, 6), number, np.float32)
            return [node("ScatterElements", "r at values", "m", "op", axis=1)], {"at": at, "values": values}
        case "Concat":
            values = np.full((16, 8, 2, 6), number, np.float32)
            return [node("Concat", "r values", "m", "op", axis=2)], {"values": values}
        case "Resize":
            nodes = [
                node(
                    "Resize", "r roi scales", "m", "op", mode="linear", extrapolation_value=number,
                    coordinate_transformation_mode="tf_crop_and_resize",
                )
            ]  # fmt: skip
            roi = np.array([0, 0, -0.2, -0.2, 1, 1, 1.2, 1.2], np.float32)
            return nodes, {"roi": roi, "scales": np.array([1, 1, 1.5, 1.5], np.float32)}
        case "GridSample":
            sampled = node("GridSample", "r grid", "g", "op", padding_mode="zeros")
            return [sampled, node("Add", "g c", "m", "shift")], c | {"grid": np.repeat(GRID, 16, 0)}
        case "ConstantOfShape":
            value = onnx.numpy_helper.from_array(np.array([number], np.float32))
            nodes = [
                node("Shape", "r", "s", "shape"),
                node("ConstantOfShape", "s", "f", "fill", value=value),
                node("Concat", "r f", "m", "op", axis=2),
            ]
            return nodes, {}
        case "Col2Im":
            nodes = [
                node("Reshape", "r columns", "k", "reshape"),
                node("Col2Im", "k image block", "i", "op"),
                node("Concat", "i i i i", "t", "again", axis=1),
                node("Add", "t c", "m", "shift"),
            ]
            sizes = {"columns": [16, 8, 36], "image": [7, 7], "block": [2, 2]}
            return nodes, c | {name: np.array(size) for name, size in sizes.items()}
        case "OneHot":
            nodes = [
                node("ArgMax", "x", "classes", "argmax", axis=1, keepdims=0),
                node("Slice", "classes begin end axes", "cut", "slice"),
                node("OneHot", "cut depth values", "hot", "op", axis=1),
                node("Add", "r hot", "m", "sum"),
            ]
            sizes = {"begin": [1, 1], "end": [7, 7], "axes": [1, 2], "depth": 8}
            constants = {name: np.array(size) for name, size in sizes.items()}
            return nodes, constants | {"values": np.array([0, number], np.float32)}
    raise AssertionError(kind)


KINDS = (
    "Pad", "Pad of a computed number", "Pad, pooled", "Where", "Clip", "Max", "Min", "ScatterND", "ScatterElements",
    "Concat", "Resize", "GridSample", "ConstantOfShape", "Col2Im", "OneHot",
)  # fmt: skip


def net(nodes: list[onnx.NodeProto], more: dict[str, Any]) -> ir.Model:
    """`d` is the number of `c`, computed from the data."""
    before = [node("Conv", "x w", "a", "first"), node("Relu", "a", "r", "relu")]
    if any("d" in made.input for made in nodes):
        before += [node("ReduceMin", "x", "low", "low", keepdims=0), node("Abs", "low", "size", "size"),
                   node("Neg", "size", "minus", "minus"), node("Add", "size minus", "zero", "zero"),
                   node("Add", "zero c", "d", "number")]  # fmt: skip
    nodes = [*before, *nodes, node("Conv", "m v", "y", "second")]
    return model_of(nodes, {"x": [16, 3, 8, 8]}, {"y": [16, 4, None, None]}, {**WEIGHTS, **more}, opset=18)


def allowed_db(graph: ir.Model) -> float:
    """Of the graph with every convolution's weights and data rounded."""
    rounded = graph.clone()
    for name in ("w", "v"):
        scales = weight_scales(WEIGHTS[name], 0, 127)
        integers = quantized_weight(WEIGHTS[name], scales, 0, 127)
        weight = integers * scales[:, None, None, None]
        rounded.graph.initializers[name].const_value = ir.tensor(weight.astype(np.float32))
    for name in ("x", "r", "m"):
        _round(rounded, name, run(graph, {"x": X}, name) if name != "x" else X)
    return snr_db(run(graph, {"x": X}), run(rounded, {"x": X}))


def _round(graph: ir.Model, name: str, seen: Any) -> None:
    value = next(v for n in graph.graph for v in (*n.inputs, *n.outputs) if v is not None and v.name == name)
    uses = list(value.uses())
    scale, zero = Range(float(seen.min()), float(seen.max())).affine()
    parts = [
        ir.Value(name=f"{name}_s", const_value=ir.tensor(scale)),
        ir.Value(name=f"{name}_z", const_value=ir.tensor(zero)),
    ]
    for part in parts:
        graph.graph.register_initializer(part)
    quantize = ir.node("QuantizeLinear", [value, *parts], name=f"{name}_Q")
    back = ir.node("DequantizeLinear", [quantize.outputs[0], *parts], name=f"{name}_DQ")
    quantize.outputs[0].name, back.outputs[0].name = f"{name}_q", f"{name}_dq"
    for use in uses:
        use.node.replace_input_with(use.idx, back.outputs[0])
    producer = value.producer()
    if producer is None:
        graph.graph.insert_before(graph.graph[0], [quantize, back])
    else:
        graph.graph.insert_after(producer, [quantize, back])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.sampled_from([-40.0, -1.0, 0.0, 0.5, 3.0, 40.0]))
def test_outputs_are_as_good_as_eight_bits_of_the_ranges_allow(
    kind: str, number: float, tmp_path: Path
) -> None:
    graph = net(*added(kind, number))
    step = Int8Static.model_validate(
        {"kind": "int8_static", "calibration": "minmax", "bias_correction": False}
    )
    (scratch := tmp_path / f"{number}").mkdir(exist_ok=True)
    context = Context(scratch, 0, Silent(), samples(scratch, graph, x=X))
    made = apply(graph.clone(), step, context)
    assert made.changed == 2
    assert snr_db(run(graph, {"x": X}), run(made.model, {"x": X})) >= allowed_db(graph) - WORSE_DB


def test_padding_with_the_least_float_before_a_pool_is_kept(tmp_path: Path) -> None:
    """As exporters of ceil_mode do: what is padded never comes out of the pool."""
    graph = net(*added("Pad, pooled", -np.inf))
    step = Int8Static.model_validate({"kind": "int8_static"})
    made = apply(graph.clone(), step, Context(tmp_path, 0, Silent(), samples(tmp_path, graph, x=X)))
    y = run(made.model, {"x": X})
    assert np.isfinite(y).all()
    assert snr_db(run(graph, {"x": X}), y) > 25
