"""The ways to 8 bits that are worth trying on a model, each a name and a graph.

static    one for each calibration; the best of them also with signed activations, and with layers left in float:
          those that integer kernels slow down, all convolutions, depthwise convolutions, all products, and, where
          the outputs suffer, the most sensitive ones
dynamic   where there are products, LSTMs or tables
smoothed  both again after SmoothQuant, where there are products behind layer normalisations
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from app.contract.errors import Refusal
from app.contract.recipe import Int8Dynamic
from worker.compression.layerwise.linear import linears
from worker.compression.layerwise.smoothing import behind_normalisation
from worker.compression.search.sensitivity import Gain
from worker.compression.techniques.context import Context
from worker.compression.techniques.int8_dynamic import int8_dynamic
from worker.compression.techniques.static import Static

SMOOTH: Final = 0.7
"""SmoothQuant's alpha. The paper's 0.5 was found for weights that share one scale; with one for each channel more
pays, and how much more matters little (MiniLM, dynamic: 18.8 dB without, 21.5 with 0.5, 21.7 with 0.7, 21.2 with 1)."""


def smoothable(model: ir.Model, patterns: list[str]) -> bool:
    """Whether a product multiplies what a layer normalisation gives."""
    return any(map(behind_normalisation, linears(model, patterns)))


@dataclass(frozen=True)
class Way:
    """`left` says which layers stay float and why; `layers` are those that are quantized. `make` gives the graph."""

    name: str
    make: Callable[[], ir.Model]
    layers: tuple[str, ...]
    left: Mapping[str, str]


def dynamic(model: ir.Model, patterns: list[str], context: Context, smooth: float | None = None) -> list[Way]:
    """None where no layer has a dynamic kernel."""
    step = Int8Dynamic(kind="int8_dynamic", exclude=patterns, weight_range="auto", smooth=smooth)
    try:
        made = int8_dynamic(model.clone(), step, context)
    except Refusal as refusal:
        if refusal.problem.code != "nothing_to_quantize":
            raise
        return []
    rows = made.details["layers"]
    left = {row["name"]: row["reason"] for row in rows if row["reason"]}
    layers = _names(row["name"] for row in rows if not row["reason"])
    return [Way("dynamic" if smooth is None else "dynamic, smoothed", lambda: made.model, layers, left)]


def static(
    base: Static, name: str, left: Mapping[str, str] | None = None, *, signed: bool | None = None
) -> Way:
    """With the calibration that `base` has."""
    made = _names(str(layer.node.name) for layer in base.told(left) if layer.reason is None)
    return Way(name, lambda: base.quantized(left, signed=signed), made, left or {})


def partly_static(base: Static, gains: Mapping[str, Gain]) -> list[Way]:
    """With whole kinds of layers left in float; those that leave nothing or everything are dropped."""
    nodes = base.selection().weighted
    slow = [n for n, gain in gains.items() if gain.milliseconds is not None and gain.milliseconds <= 0]
    kinds = {
        "without layers that get slower": (slow, "its integer kernel is slower than the float one"),
        "products only": (
            [str(node.name) for node in nodes if node.op_type == "Conv"],
            "convolutions stay float",
        ),
        "convolutions only": (
            [str(node.name) for node in nodes if node.op_type != "Conv"],
            "products stay float",
        ),
        "without depthwise": (
            [str(node.name) for node in nodes if _depthwise(node)],
            "depthwise convolutions stay float",
        ),
    }
    ways, seen = [], set()
    for name, (layers, why) in kinds.items():
        if 0 < len(layers) < len(nodes) and frozenset(layers) not in seen:
            seen.add(frozenset(layers))
            ways.append(static(base, f"static, {name}", dict.fromkeys(layers, why)))
    return ways


def _depthwise(node: ir.Node) -> bool:
    weight = node.inputs[1]
    shape = None if weight is None or weight.const_value is None else weight.const_value.shape
    return (
        node.op_type == "Conv"
        and node.attributes.get_int("group", 1) > 1
        and shape is not None
        and shape[1] == 1
    )


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(names)
