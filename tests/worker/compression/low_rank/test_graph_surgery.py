"""A layer and its parts at full rank compute the same, whatever its attributes are, and the node keeps its name."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.graphs import node
from tests.support.small_nets import model, model_of, named, ops, run
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.shapes.shapes import with_shapes
from worker.compression.ir.naming import Names
from worker.compression.layers.linear import linears
from worker.compression.low_rank.decompositions import Split, geometry
from worker.compression.low_rank.graph_surgery import factorise
from worker.compression.low_rank.layer_study import LayerStudy

TOLERANCE = 1e-4
"""Relative to the largest output: float32 products, one after the other."""


def full(study: LayerStudy, way: Any) -> Split:
    size = study.geometry
    out, inputs = size.out, size.inputs
    ranks = {"tucker": (inputs, out), "spatial": (inputs * size.kernel[0],) if size.kernel else ()}
    return Split(way, ranks.get(way, (out,)))


def check(net: ir.Model, x: Any, way: Any, parts: int) -> None:
    expected = run(net, {"x": x})
    (layer,) = linears(net)
    shaped = next(found for found in with_shapes(net).graph if found.name == layer.name)
    size = geometry(layer, shaped)
    assert size is not None
    study = LayerStudy(layer, size)
    fitted = study.factorised(full(study, way))
    assert fitted.error < 1e-10
    factorise(layer, fitted.split, fitted.parts, fitted.bias, Names(net))
    net = normalise(net)
    assert len(ops(net)) == parts
    assert named(net, "layer").outputs[0].name == "y"
    assert np.abs(run(net, {"x": x}) - expected).max() <= TOLERANCE * np.abs(expected).max()


@settings(max_examples=60, deadline=None)
@given(
    way=st.sampled_from(["channel", "tucker", "spatial"]),
    kernel=st.sampled_from([(3, 3), (2, 4), (5, 2)]),
    strides=st.sampled_from([[1, 1], [2, 2], [1, 3]]),
    dilations=st.sampled_from([[1, 1], [2, 1]]),
    groups=st.sampled_from([1, 2]),
    padding=st.sampled_from([(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 3), "SAME_UPPER", "SAME_LOWER", "VALID"]),
    bias=st.booleans(),
)
def test_a_convolution(
    way: str,
    kernel: tuple[int, int],
    strides: list[int],
    dilations: list[int],
    groups: int,
    padding: Any,
    bias: bool,
) -> None:
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(6, 4 // groups, *kernel)), "b": rng.normal(size=6)}
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    dilations = [1, 1] if isinstance(padding, str) and padding != "VALID" else dilations  # ORT has no other
    how = {"auto_pad": padding} if isinstance(padding, str) else {"pads": padding}
    made = node(
        "Conv",
        "x w b" if bias else "x w",
        "y",
        "layer",
        strides=strides,
        dilations=dilations,
        group=groups,
        **how,
    )
    net = model_of([made], {"x": ["N", 4, 11, 12]}, {"y": ["N", 6, None, None]}, weights)
    check(net, rng.normal(size=(2, 4, 11, 12)).astype(np.float32), way, 3 if way == "tucker" else 2)


@pytest.mark.parametrize(("way", "parts"), [("channel", 2), ("tucker", 3)])
@pytest.mark.parametrize("rank", [1, 3])
def test_a_convolution_over_time_or_space(way: str, parts: int, rank: int) -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(6, 4, *[3] * rank)).astype(np.float32)
    made = node("Conv", "x w", "y", "layer", strides=[2] * rank, pads=[1] * 2 * rank)
    net = model_of([made], {"x": ["N", 4, *[7] * rank]}, {"y": ["N", 6, *[None] * rank]}, {"w": weight})
    check(net, rng.normal(size=(2, 4, *[7] * rank)).astype(np.float32), way, parts)


def test_a_depthwise_convolution_in_two_strips() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(6, 1, 3, 3)).astype(np.float32)
    net = model(
        "(float[N,6,8,8] x) => (float[N,6,6,6] y) { [layer] y = Conv <group=6> (x, w) }", {"w": weight}
    )
    check(net, rng.normal(size=(2, 6, 8, 8)).astype(np.float32), "spatial", 2)


@pytest.mark.parametrize("how", ["matmul", "gemm", "gemm_transposed", "gemm_without_bias", "conv1x1"])
def test_a_product(how: str) -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(5, 4)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    x = rng.normal(size=(7, 5)).astype(np.float32)
    made = node("Gemm", "x w b", "y", "layer")
    match how:
        case "matmul":
            made, x = node("MatMul", "x w", "y", "layer"), x.reshape(7, 1, 5)
        case "gemm_transposed":
            made, weight = node("Gemm", "x w b", "y", "layer", transB=1), weight.T.copy()
        case "gemm_without_bias":
            made = node("Gemm", "x w", "y", "layer")
        case "conv1x1":
            made = node("Conv", "x w b", "y", "layer", strides=[2])
            weight, x = weight.T[:, :, None].copy(), x.reshape(1, 5, 7)
    shape = ["N", *x.shape[1:]]
    out = ["N", *[None] * (x.ndim - 1)]
    check(model_of([made], {"x": shape}, {"y": out}, {"w": weight, "b": bias}), x, "svd", 2)
