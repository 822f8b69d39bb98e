"""The candidates of `int8`: forms in 8 bits that are worth trying on a model, each a name and a graph.

static    one for each calibration; the best of them also with other signs of activations (for OpenVINO with zero
          points of 0: others cost it time), and with layers left in float: those that integer kernels slow down, all
          convolutions, depthwise convolutions, all products, and, where the outputs suffer, the most sensitive ones
dynamic   where there are products, LSTMs or tables
smoothed  both again after SmoothQuant, where there are products behind layer normalisations
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import onnx_ir as ir

from winnow.contract.steps.mixed import STATIC_CANDIDATE
from worker.compression.ir.edit import GraphEdit
from worker.compression.layers.linear import linears
from worker.compression.quantization.integer.dynamic_model import Dynamic
from worker.compression.quantization.integer.hardware import Signs
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.preparation.smoothquant import behind_normalisation
from worker.compression.quantization.search.sensitivity import Gain
from worker.compression.steps.decisions import LayerDecision, changed_nodes

SMOOTH: Final = 0.7
"""SmoothQuant's alpha. The paper's 0.5 was found for weights that share one scale; with one for each channel more
pays, and how much more matters little (MiniLM, dynamic: 18.8 dB without, 21.5 with 0.5, 21.7 with 0.7, 21.2 with 1)."""
DYNAMIC, DYNAMIC_SMOOTHED = "dynamic", "dynamic, smoothed"
SIGNED: Final = f"{STATIC_CANDIDATE}signed activations"
AROUND_ZERO: Final = f"{STATIC_CANDIDATE}zero points of 0"
SIGNS: Final[dict[str, Signs]] = {SIGNED: "signed", AROUND_ZERO: "by_range"}
"""Of activations, by the name of a candidate."""
WITHOUT_SLOWER: Final = f"{STATIC_CANDIDATE}without layers that get slower"
WITHOUT_SENSITIVE: Final = f"{STATIC_CANDIDATE}without the most sensitive"
WITHOUT_BOTH: Final = f"{STATIC_CANDIDATE}without sensitive and slower ones"
PRODUCTS_ONLY: Final = f"{STATIC_CANDIDATE}products only"
CONVOLUTIONS_ONLY: Final = f"{STATIC_CANDIDATE}convolutions only"
WITHOUT_DEPTHWISE: Final = f"{STATIC_CANDIDATE}without depthwise"
MEASURED: Final = (WITHOUT_SLOWER, WITHOUT_SENSITIVE, WITHOUT_BOTH)
"""Which layers these leave in float only measuring tells."""
KINDS: Final = (PRODUCTS_ONLY, CONVOLUTIONS_ONLY, WITHOUT_DEPTHWISE)
"""These leave whole kinds of layers in float."""


def smoothable(edit: GraphEdit) -> bool:
    """Whether a product multiplies what a layer normalisation gives."""
    return any(map(behind_normalisation, linears(edit.model, edit.exclude)))


@dataclass(frozen=True)
class Candidate:
    """`decisions` are the layers that could be quantized, and why some are not. `make` gives the graph, a new one each
    time: none is held while others are tried."""

    name: str
    kind: Literal["float", "int8_static", "int8_dynamic"]
    make: Callable[[], ir.Model]
    decisions: Sequence[LayerDecision] = ()

    @property
    def layers(self) -> list[str]:
        """The names of those that are quantized."""
        return [str(node.name) for node in changed_nodes(self.decisions)]


def dynamic(base: Dynamic) -> Candidate:
    name = DYNAMIC if base.alpha is None else DYNAMIC_SMOOTHED
    return Candidate(name, "int8_dynamic", base.quantized, base.decisions())


def static(
    base: Static, name: str, float_reasons: Mapping[str, str] | None = None, *, signs: Signs | None = None
) -> Candidate:
    """With the calibration that `base` has."""
    return Candidate(
        name,
        "int8_static",
        lambda: base.quantized(float_reasons, signs=signs),
        base.decisions(float_reasons),
    )


def slower(gains: Mapping[str, Gain]) -> dict[str, str]:
    """The layers that integer kernels slow down, with that as the reason why they stay float."""
    return {
        name: "its integer kernel is slower than the float one"
        for name, gain in gains.items()
        if gain.milliseconds is not None and gain.milliseconds <= 0
    }


def partly_static(base: Static, gains: Mapping[str, Gain]) -> list[Candidate]:
    """Without the layers that get slower, and without whole kinds; each set of layers once."""
    slow, count = slower(gains), len(base.selection().weighted)
    sets = ({WITHOUT_SLOWER: slow} if 0 < len(slow) < count else {}) | kinds_in_float(base)
    distinct: dict[frozenset[str], Candidate] = {}
    for name, float_reasons in sets.items():
        distinct.setdefault(frozenset(float_reasons), static(base, name, float_reasons))
    return list(distinct.values())


def kinds_in_float(base: Static) -> dict[str, dict[str, str]]:
    """By the name of a candidate the layers of the kinds that it leaves in float, and why; those that leave nothing or
    everything are dropped."""
    nodes = base.selection().weighted

    def those(chosen: Callable[[ir.Node], bool], why: str) -> dict[str, str]:
        return {str(node.name): why for node in nodes if chosen(node)}

    kinds = {
        PRODUCTS_ONLY: those(lambda node: node.op_type == "Conv", "convolutions stay float"),
        CONVOLUTIONS_ONLY: those(lambda node: node.op_type != "Conv", "products stay float"),
        WITHOUT_DEPTHWISE: those(_depthwise, "depthwise convolutions stay float"),
    }
    return {name: reasons for name, reasons in kinds.items() if 0 < len(reasons) < len(nodes)}


def _depthwise(node: ir.Node) -> bool:
    weight = node.inputs[1]
    shape = None if weight is None or weight.const_value is None else weight.const_value.shape
    return (
        node.op_type == "Conv"
        and node.attributes.get_int("group", 1) > 1
        and shape is not None
        and shape[1] == 1
    )
