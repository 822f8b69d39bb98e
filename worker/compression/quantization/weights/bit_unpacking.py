"""Makes the nodes that bring planes of 2 or 3 bits back to pairs or bytes; see `bit_layout` for the layout."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.naming import Names
from worker.compression.weight_storage.bit_layout import PLANES

OPSET: Final = 18
"""The first with BitwiseAnd and BitwiseOr."""


class Expansion:
    """Nodes of one layer, in order. `constant` makes an initializer, or returns the one that there is."""

    def __init__(self, constant: Callable[[str, Any], ir.Value], names: Names) -> None:
        self.nodes: list[ir.Node] = []
        self._constant, self._names = constant, names

    @property
    def report_suffix(self) -> str:
        """What a report adds to the operator that reads the result."""
        return " of planes" if any(node.op_type == "BitwiseAnd" for node in self.nodes) else ""

    def pairs(self, planes: ir.Value, bits: int, shape: Sequence[int]) -> ir.Value:
        """Unpack the first pairs of the planes, uint8 of this shape."""
        mask, rest = (0x77, 0x88) if bits == 3 else (0x33, 0xCC)
        low = self.node("BitwiseAnd", [planes, self._byte(mask)])
        high = self.node("BitwiseAnd", [planes, self._byte(rest)])
        shifts = np.arange(3, 0, -1, dtype=np.uint8)[:, None] if bits == 3 else np.full((1, 1), 2, np.uint8)
        high = self.node("BitShift", [high, self._small("shifts", shifts)], {"direction": "RIGHT"})
        if bits == 3:
            first, second, third = (self._row(high, index) for index in range(3))
            high = self.node("BitwiseOr", [self.node("BitwiseOr", [first, second]), third])
        return self._first(self.node("Concat", [low, high], {"axis": 0}), planes, bits, shape)

    def codes(self, planes: ir.Value, bits: int, shape: Sequence[int]) -> ir.Value:
        """Unpack one number into each byte, uint8 of this shape."""
        count = -(-int(np.prod(shape)) // 2)
        pairs = self.pairs(planes, bits, (count, 1))
        low = self.node("BitwiseAnd", [pairs, self._byte(0x0F)])
        high = self.node("BitShift", [pairs, self._byte(4)], {"direction": "RIGHT"})
        flat = self.node("Concat", [low, high], {"axis": 1})
        return self.reshaped(self._sliced(flat, 2 * count, int(np.prod(shape))), shape)

    def filled(self, number: int, shape: Sequence[int]) -> ir.Value:
        """Fill uint8 of this shape with one number."""
        return self.node("Expand", [self._byte(number), self._small("shape", np.asarray(shape, np.int64))])

    def reshaped(self, value: ir.Value, shape: Sequence[int]) -> ir.Value:
        return self.node("Reshape", [value, self._small("shape", np.asarray(shape, np.int64))])

    def node(
        self, kind: str, inputs: Sequence[ir.Value], attributes: dict[str, Any] | None = None
    ) -> ir.Value:
        """Add a node and return its output. There are many of them, so their names are short."""
        made = ir.node(kind, list(inputs), attributes or {}, name=self._names.fresh("unpack"))
        made.outputs[0].name = self._names.fresh("unpacked")
        self.nodes.append(made)
        return made.outputs[0]

    def _row(self, value: ir.Value, index: int) -> ir.Value:
        begin, end = (self._small("index", np.asarray([at], np.int64)) for at in (index, index + 1))
        return self.node("Slice", [value, begin, end])

    def _first(self, value: ir.Value, planes: ir.Value, bits: int, shape: Sequence[int]) -> ir.Value:
        assert planes.shape is not None
        wide = PLANES[bits][1]
        return self.reshaped(
            self._sliced(value, wide * int(planes.shape.numpy()[1]), int(np.prod(shape))), shape
        )

    def _sliced(self, value: ir.Value, have: int, wanted: int) -> ir.Value:
        """The first `wanted` of all elements, flat; the value itself where that is all of them."""
        if have == wanted:
            return value
        flat = self.reshaped(value, (have,))
        begin, end = (self._small("index", np.asarray([at], np.int64)) for at in (0, wanted))
        return self.node("Slice", [flat, begin, end])

    def _byte(self, number: int) -> ir.Value:
        return self._small("byte", np.asarray(number, np.uint8))

    def _small(self, name: str, array: Any) -> ir.Value:
        return self._constant(f"unpack_{name}", array)
