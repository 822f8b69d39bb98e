"""What rules note in one pass over a graph."""

from dataclasses import dataclass, field

import onnx_ir as ir

from worker.compression.graph.channels.labels.ledger import Ledger, Vector, joined

SplitKey = tuple[str, int]
"""A node, and which of its axes is taken apart."""
Choices = dict[SplitKey, int]
"""Which of the ways to group its channels is taken, in the order of `NodeView.choose`."""


@dataclass
class Split:
    """A node that had to choose: channels (i, j) stay apart by i or by j, never by both."""

    key: SplitKey
    labels: Vector
    sizes: tuple[int, ...]
    options: int


@dataclass(frozen=True)
class Heads:
    """An axis along which two computed values are multiplied matrix by matrix: heads of attention.

    The labels that either operand has there, None for none. `queries`: how often one operand's matrices are read along
    other axes of this kind, by queries that share keys and values.
    """

    first: Vector | None
    second: Vector | None
    queries: int = 1

    @property
    def labels(self) -> Vector:
        return joined([vector for vector in (self.first, self.second) if vector is not None])

    @property
    def shared(self) -> bool:
        """Whether both operands have channels along it."""
        return self.first is not None and self.second is not None


@dataclass
class LabelRun:
    """All that rules note in one pass: labels and unions, the axes of weights that layers make or read, and choices.

    `preferred`: by which piece of an axis channels stay apart, where that is known. `pieces`: in a search for heads the
    labels of each axis that is taken apart, and of all its pieces, which have their own; else None.
    """

    ledger: Ledger = field(default_factory=Ledger)
    producers: list[tuple[ir.Node, Vector]] = field(default_factory=list)
    consumers: list[tuple[ir.Node, Vector]] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    numbers: dict[ir.Value, list[int]] = field(default_factory=dict)
    """What is computed from shapes and known."""
    choices: Choices = field(default_factory=dict)
    preferred: Choices = field(default_factory=dict)
    pieces: dict[SplitKey, tuple[Vector, list[Vector | None]]] | None = None
    favoured: set[int] = field(default_factory=set)
    """Labels of preferred pieces: where they are joined with others, those are pinned."""
    heads: list[Heads] = field(default_factory=list)
    normalised: list[tuple[Vector, str]] = field(default_factory=list)
    """What a normalisation is taken over, and what it says of it."""
    joins: list[Vector] = field(default_factory=list)
    """What residual additions have in common."""
