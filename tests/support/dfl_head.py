"""A detector with a head as YOLOv8 exports it: a box is four distances, means of distributions over 16 bins."""

from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir

from tests.support.graphs import node
from tests.support.small_nets import model_of

SIDE: Final = 64
BINS: Final = 16
CLASSES: Final = 8
STRIDES: Final = (8, 16)
WIDTH: Final = 32
SPREAD: Final = 2.5
"""Of a distribution, in bins."""


def dfl_net(*, product: bool = False) -> ir.Model:
    """image float [N, 3, 64, 64] → detections float [N, 4 + 8, 80]: x, y, width, height in pixels, then scores.

    Distribution focal loss (Li et al. 2020, arXiv:2006.04388): a distance d is Σ k · softmax(z)_k, here with
    z_k = −(k − d)² / 2σ² but for what is the same for all k, which is linear in d. The sum is a 1 × 1 convolution whose
    weights are 0, …, 15, or a `product` with them.
    """
    rng = np.random.default_rng(18)
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, Any] = {}

    def conv(name: str, source: str, weight: Any, bias: Any, stride: int = 1) -> str:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = (
            weight.astype(np.float32),
            bias.astype(np.float32),
        )
        pads = [weight.shape[2] // 2] * 4
        inputs = f"{source} {name}.weight {name}.bias"
        nodes.append(node("Conv", inputs, f"{name}/out", name, strides=[stride] * 2, pads=pads))
        return f"{name}/out"

    def random(*shape: int) -> Any:
        return rng.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5

    def active(name: str, source: str, channels: int, stride: int) -> str:
        out = conv(name, source, random(WIDTH, channels, 3, 3), rng.normal(size=WIDTH) / 8, stride)
        nodes.append(node("Sigmoid", out, f"{name}/gate", f"{name}/Sigmoid"))
        nodes.append(node("Mul", f"{out} {name}/gate", f"{name}/silu", f"{name}/Mul"))
        return f"{name}/silu"

    def constant(name: str, array: Any) -> str:
        weights[name] = np.asarray(array)
        return name

    value, joined = "image", []
    for number in range(3):
        value = active(f"stem.{number}", value, 3 if number == 0 else WIDTH, 2)
    for number, stride in enumerate(STRIDES):
        value = active(f"scale.{number}", value, WIDTH, 1 if number == 0 else 2)
        distance = rng.normal(size=(4, WIDTH)) * 1.5
        bins = np.arange(BINS)
        logits = (distance[:, None] * bins[None, :, None] / SPREAD**2).reshape(4 * BINS, WIDTH, 1, 1)
        middle = np.tile((5 * bins - bins**2 / 2) / SPREAD**2, 4)
        box = conv(f"box.{number}", value, logits, middle)
        scores = conv(f"class.{number}", value, random(CLASSES, WIDTH, 1, 1) * 2, np.full(CLASSES, -3.0))
        nodes.append(node("Concat", f"{box} {scores}", f"head.{number}", f"head.{number}/Concat", axis=1))
        places = (SIDE // stride) ** 2
        shape = constant(f"shape.{number}", np.array([0, 4 * BINS + CLASSES, places]))
        nodes.append(node("Reshape", f"head.{number} {shape}", f"flat.{number}", f"head.{number}/Reshape"))
        joined.append(f"flat.{number}")
    nodes.append(node("Concat", " ".join(joined), "all", "head/Concat", axis=2))
    constant("parts", np.array([4 * BINS, CLASSES]))
    nodes.append(node("Split", "all parts", "boxes classes", "head/Split", axis=1))
    _distances(nodes, constant, product=product)
    _decoded(nodes, constant)
    count = sum((SIDE // stride) ** 2 for stride in STRIDES)
    return model_of(
        nodes, {"image": ["N", 3, SIDE, SIDE]}, {"detections": ["N", 4 + CLASSES, count]}, weights
    )


def _distances(nodes: list[onnx.NodeProto], constant: Any, *, product: bool) -> None:
    """boxes [N, 64, A] → distances [N, 4, A]."""
    bins = np.arange(BINS, dtype=np.float32)
    constant("by_bin", np.array([0, 4, BINS, -1]))
    nodes.append(node("Reshape", "boxes by_bin", "binned", "dfl/Reshape"))
    perm, axis = ([0, 1, 3, 2], 3) if product else ([0, 2, 1, 3], 1)
    nodes.append(node("Transpose", "binned", "turned", "dfl/Transpose", perm=perm))
    nodes.append(node("Softmax", "turned", "shares", "dfl/Softmax", axis=axis))
    if product:
        constant("bins", bins[:, None])
        nodes.append(node("MatMul", "shares bins", "means", "dfl/conv"))
    else:
        constant("bins", bins[None, :, None, None])
        nodes.append(node("Conv", "shares bins", "means", "dfl/conv"))
    constant("four", np.array([0, 4, -1]))
    nodes.append(node("Reshape", "means four", "distances", "dfl/flatten"))


def _decoded(nodes: list[onnx.NodeProto], constant: Any) -> None:
    """distances [N, 4, A] → centre and size in pixels, joined to scores."""
    places, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[: SIDE // stride, : SIDE // stride]
        places.append(np.stack([x, y]).reshape(2, -1) + 0.5)
        strides.append(np.full((1, x.size), stride))
    constant("places", np.concatenate(places, 1)[None].astype(np.float32))
    constant("strides", np.concatenate(strides, 1)[None].astype(np.float32))
    constant("halves", np.array([2, 2]))
    constant("two", np.array(2, np.float32))
    nodes += [
        node("Split", "distances halves", "near far", "decode/Split", axis=1),
        node("Sub", "places near", "first", "decode/first"),
        node("Add", "places far", "last", "decode/last"),
        node("Add", "first last", "sum", "decode/sum"),
        node("Div", "sum two", "centre", "decode/centre"),
        node("Sub", "last first", "size", "decode/size"),
        node("Concat", "centre size", "cells", "decode/Concat", axis=1),
        node("Mul", "cells strides", "pixels", "decode/pixels"),
        node("Sigmoid", "classes", "scores", "decode/Sigmoid"),
        node("Concat", "pixels scores", "detections", "detections/Concat", axis=1),
    ]


def images(count: int = 64, seed: int = 19) -> dict[str, Any]:
    """Blobs of light on noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    pictures = rng.normal(size=(count, 3, SIDE, SIDE)) * 0.2
    for picture in pictures:
        for _ in range(3):
            at, size = rng.uniform(0, SIDE, 2), rng.uniform(4, 16)
            blob = np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * size**2))
            picture += rng.uniform(-1, 2, 3)[:, None, None] * blob
    return {"image": pictures.astype(np.float32)}
