"""What became of a layer, in a word and in a colour."""

from dataclasses import dataclass
from typing import Final

from winnow.contract.report import LayerReport

KINDS: Final = (
    ("kept", "unchanged"),
    ("fewer-bits", "fewer bits"),
    ("narrower", "fewer weights"),
    ("both", "fewer bits and weights"),
    ("removed", "removed"),
)
"""Class of the style sheet → what it stands for."""


@dataclass(frozen=True)
class Fate:
    kind: str
    words: str


def fate_of(layer: LayerReport) -> Fate:
    if layer.after_dtype == "removed" or not layer.parameters.after:
        return Fate("removed", "removed")
    other = layer.before_dtype != layer.after_dtype
    types = f"{layer.before_dtype} → {layer.after_dtype}"
    weights = f"{layer.parameters.after / max(1, layer.parameters.before):.0%} of its weights"
    if layer.parameters.after == layer.parameters.before:
        return Fate("fewer-bits", types) if other else Fate("kept", "unchanged")
    return Fate("both", f"{types}, {weights}") if other else Fate("narrower", weights)
