"""What is left out of quantization, or has more bits, so that nothing collapses."""

from dataclasses import dataclass, field


@dataclass
class Spared:
    """Of a static model, by name: `marked` values may be infinite, those of `sentinels` have some; `float_nodes` says
    of nodes why they stay float; `wide` nodes read and give 16 bits."""

    marked: frozenset[str] = frozenset()
    sentinels: set[str] = field(default_factory=set)
    float_nodes: dict[str, str] = field(default_factory=dict)
    wide: set[str] = field(default_factory=set)

    def copy(self) -> "Spared":
        return Spared(self.marked, set(self.sentinels), dict(self.float_nodes), set(self.wide))
