"""The ways to write a layer as two or three smaller ones, and what each costs.

With o outputs, i inputs and a kernel of k positions, all for one of g groups, parts are matrices [g, rows, columns]:

    svd, channel   [r, i·k], [o, r]              a product as two products; k×k, then 1×1
    spatial        [r, i·kh], [o, r·kw]          kh×1, then 1×kw                         (Jaderberg et al. 2014)
    tucker         [q, i], [r, q·k], [o, r]      1×1, k×k, 1×1                           (Kim et al. 2016)
"""

import math
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from worker.compression.graph.nodes.known_shapes import static_dims
from worker.compression.layers.linear import Linear

Way = Literal["svd", "channel", "spatial", "tucker"]


MULTIPLE, WIDE = 8, 16


def quick(rank: int) -> bool:
    """Whether a rank fills the vector units: where it is wide, a multiple of 8. On squeezenet1.1 at half the MACs that
    is the difference between 1.2 and 1.5 times the speed, for 0.2 dB."""
    return rank < WIDE or rank % MULTIPLE == 0


def quickened(rank: int) -> int:
    """The next such rank."""
    return rank if quick(rank) else -(-rank // MULTIPLE) * MULTIPLE


@dataclass(frozen=True)
class Split:
    """A way with its ranks: of Tucker's (q, r), of the others one."""

    way: Way
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Cost:
    """Multiply-accumulates of one sample, and weights."""

    macs: int
    parameters: int


@dataclass(frozen=True)
class Positions:
    """How many rows of data a part multiplies: at the input's places, between a k×1 and a 1×k, at the output's."""

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
    positions: Positions

    @property
    def cost(self) -> Cost:
        return self._sum([(self.out, self.inputs * math.prod(self.kernel), self.positions.behind)])

    @property
    def ways(self) -> tuple[Way, ...]:
        """Those that there are. A depthwise convolution has one output a group, and no channels to bring together."""
        if math.prod(self.kernel) == 1:
            return ("svd",) if self.out > 1 else ()
        flat = self.kernel and min(self.kernel) == 1
        ways: list[Way] = ["channel", "tucker"] if self.out > 1 else []
        return (*ways, "spatial") if len(self.kernel) == 2 and not flat else tuple(ways)

    def kept(self, way: Way) -> int:
        """Kernel positions that the first part leaves to the next."""
        spans = {"spatial": self.kernel[-1:], "tucker": self.kernel}
        return math.prod(spans.get(way, ()))

    def of(self, split: Split) -> Cost:
        """What the layer costs when it is split."""
        area, at, ranks = math.prod(self.kernel), self.positions, split.ranks
        match split.way:
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
        sizes = [(self.groups * rows * columns, positions) for rows, columns, positions in parts]
        return Cost(sum(size * positions for size, positions in sizes), sum(size for size, _ in sizes))


def geometry(layer: Linear, shaped: ir.Node | None) -> Geometry | None:
    """`shaped` is the layer's node in a copy of the model whose shapes are numbers; None where it does not tell them.

    Without one each output map counts as a single place: good for ranks of one layer, no measure between layers.
    """
    groups, out, inner = layer.shape
    kernel = layer.dims[2:]
    found = _nominal(layer, kernel) if shaped is None else _counted(shaped)
    return None if found is None else Geometry(groups, out, inner // math.prod(kernel), kernel, found)


def _nominal(layer: Linear, kernel: tuple[int, ...]) -> Positions:
    strides = layer.node.attributes.get_ints("strides", [1] * len(kernel))
    return Positions(math.prod(strides), strides[-1] if kernel else 1, 1)


def _counted(node: ir.Node) -> Positions | None:
    data, output = static_dims(node.inputs[0]), static_dims(node.outputs[0])
    if data is None or output is None:
        return None
    if node.op_type != "Conv":
        rows = math.prod(output[:-1])
        return Positions(rows, rows, rows)
    before, behind = data[0] * math.prod(data[2:]), output[0] * math.prod(output[2:])
    return Positions(before, output[0] * math.prod(output[2:-1]) * data[-1], behind)
