"""Splits of a layer into two or three smaller ones, of several kinds, and what each costs.

With o outputs, i inputs and a kernel of k positions, all for one of g groups, parts are matrices [g, rows, columns]:

    svd, channel   [r, i·k], [o, r]              a product as two products; k×k, then 1×1
    spatial        [r, i·kh], [o, r·kw]          kh×1, then 1×kw                         (Jaderberg et al. 2014)
    tucker         [q, i], [r, q·k], [o, r]      1×1, k×k, 1×1                           (Kim et al. 2016)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import onnx_ir as ir

from worker.compression.graph.nodes.known_shapes import static_dims
from worker.compression.layers.linear import Linear

SplitKind = Literal["svd", "channel", "spatial", "tucker"]

FAST_MULTIPLE: Final = 8
MIN_ROUNDED_RANK: Final = 16


def is_fast_rank(rank: int) -> bool:
    """Whether a rank fills the vector units: where it is wide, a multiple of 8. On squeezenet1.1 at half the MACs that
    is the difference between 1.2 and 1.5 times the speed, for 0.2 dB."""
    return rank < MIN_ROUNDED_RANK or rank % FAST_MULTIPLE == 0


def rounded_to_fast_rank(rank: int) -> int:
    """Round a rank up to one that fills the vector units."""
    return rank if is_fast_rank(rank) else -(-rank // FAST_MULTIPLE) * FAST_MULTIPLE


@dataclass(frozen=True)
class Split:
    """A kind of split with its ranks: of Tucker's (q, r), of the others one."""

    kind: SplitKind
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Cost:
    """Multiply-accumulates of one sample, and weights."""

    macs: int
    parameters: int


@dataclass(frozen=True)
class OutputRows:
    """How many rows of data a part multiplies, by where its outputs are: at the input's positions (`before`), between a
    k×1 and a 1×k kernel, or at the output's (`behind`)."""

    before: int
    between: int
    behind: int


@dataclass(frozen=True)
class Geometry:
    """A layer's sizes, of one group; `kernel` is empty for products."""

    groups: int
    out: int
    inputs: int
    kernel: tuple[int, ...]
    rows: OutputRows

    @property
    def cost(self) -> Cost:
        return self._sum([(self.out, self.inputs * math.prod(self.kernel), self.rows.behind)])

    @property
    def split_kinds(self) -> tuple[SplitKind, ...]:
        """List the kinds of split that the layer has. A depthwise convolution has no channels of a group to combine."""
        if math.prod(self.kernel) == 1:
            return ("svd",) if self.out > 1 else ()
        flat = self.kernel and min(self.kernel) == 1
        split_kinds: list[SplitKind] = ["channel", "tucker"] if self.out > 1 else []
        return (*split_kinds, "spatial") if len(self.kernel) == 2 and not flat else tuple(split_kinds)

    def later_positions(self, kind: SplitKind) -> int:
        """Count the kernel positions that the first part leaves to the next (s in `reduced_rank`)."""
        spans = {"spatial": self.kernel[-1:], "tucker": self.kernel}
        return math.prod(spans.get(kind, ()))

    def cost_of(self, split: Split) -> Cost:
        """Count what the layer costs when it is split; a part is (outputs, inputs, rows that it multiplies)."""
        area, at, ranks = math.prod(self.kernel), self.rows, split.ranks
        match split.kind:
            case "svd" | "channel":
                parts = [(ranks[0], self.inputs * area, at.behind), (self.out, ranks[0], at.behind)]
            case "spatial":
                high, wide = self.kernel
                parts = [(ranks[0], self.inputs * high, at.between), (self.out, ranks[0] * wide, at.behind)]
            case "tucker":
                q, r = ranks
                parts = [(q, self.inputs, at.before), (r, q * area, at.behind), (self.out, r, at.behind)]
        return self._sum(parts)

    def _sum(self, parts: list[tuple[int, int, int]]) -> Cost:
        sizes = [(self.groups * outputs * inputs, rows) for outputs, inputs, rows in parts]
        return Cost(sum(size * rows for size, rows in sizes), sum(size for size, _ in sizes))


def geometry(layer: Linear, shaped: ir.Node | None) -> Geometry | None:
    """Read a layer's sizes off `shaped`, its node in a copy of the model whose shapes are numbers; None where they are
    not known.

    Without `shaped` each output map counts as one position: good for ranks of one layer, no measure between layers.
    """
    groups, out, inner = layer.shape
    kernel = layer.dims[2:]
    rows = _nominal_rows(layer, kernel) if shaped is None else _counted_rows(shaped)
    return None if rows is None else Geometry(groups, out, inner // math.prod(kernel), kernel, rows)


def geometry_of_all(layer: Linear, shaped: Mapping[str, ir.Node]) -> Geometry | None:
    """Read the sizes of all layers that read the weight, as one: what its parts multiply in any of them. None where a
    shape is not known."""
    sizes = [geometry(reader, shaped[reader.name]) for reader in layer.readers]
    rows = [size.rows for size in sizes if size is not None]
    if sizes[0] is None or len(rows) < len(sizes):
        return None
    total = OutputRows(sum(r.before for r in rows), sum(r.between for r in rows), sum(r.behind for r in rows))
    return replace(sizes[0], rows=total)


def _nominal_rows(layer: Linear, kernel: tuple[int, ...]) -> OutputRows:
    strides = layer.node.attributes.get_ints("strides", [1] * len(kernel))
    return OutputRows(math.prod(strides), strides[-1] if kernel else 1, 1)


def _counted_rows(node: ir.Node) -> OutputRows | None:
    data, output = static_dims(node.inputs[0]), static_dims(node.outputs[0])
    if data is None or output is None:
        return None
    if node.op_type != "Conv":
        rows = math.prod(output[:-1])
        return OutputRows(rows, rows, rows)
    before, behind = data[0] * math.prod(data[2:]), output[0] * math.prod(output[2:])
    return OutputRows(before, output[0] * math.prod(output[2:-1]) * data[-1], behind)
