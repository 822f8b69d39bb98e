"""What is left out of quantization so that nothing collapses."""

from dataclasses import dataclass, field


@dataclass
class Spared:
    """Of a static model, by name: `marked` values may be infinite, those of `sentinels` have some; `float_nodes` says
    of nodes why they stay float."""

    marked: frozenset[str] = frozenset()
    sentinels: set[str] = field(default_factory=set)
    float_nodes: dict[str, str] = field(default_factory=dict)
