"""What layers cost in float: multiply-accumulates, or weights where these are not known of all layers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from worker.compression.graph.facts.cost import layer_table


@dataclass(frozen=True)
class Costs:
    """Of each layer by its name, in `unit`."""

    of: Mapping[str, int]
    unit: str

    def together(self, layers: Iterable[str]) -> int:
        return sum(self.of.get(name, 0) for name in layers)

    def share(self, layers: Iterable[str]) -> float:
        """Of all layers of the model, 0 to 1."""
        return self.together(layers) / max(1, self.together(self.of))


def costs_of(model: ir.Model, shapes: dict[str, list[int]]) -> Costs:
    """Count multiply-accumulates, or weights where these are not known of all layers."""
    rows = layer_table(model, shapes)
    known = {row.name: row.macs for row in rows if row.macs is not None}
    if len(known) == len(rows):
        return Costs(known, "multiply-accumulates")
    return Costs({row.name: row.parameters for row in rows}, "weights")
