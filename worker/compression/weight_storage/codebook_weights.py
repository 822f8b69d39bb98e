"""Read and write weights that take few values: codes (small whole numbers) in the graph, and nodes that look them up.

    palette     codes uint8 ─ Cast ─ Gather(codebook) ─ layer                          one codebook
                codes uint8 ─ Cast ─ Add(offsets) ─ Gather(codebook) ─ layer           one after another, a channel each
    binary      codes uint8 ─ Cast ─ Sub(½) ─ Mul(scale) ─ layer                       w = ± scale / 2

All inputs are constant, so ONNX Runtime computes the weight when it loads the model. Normalising leaves the nodes as
they are, since a Cast that widens stays. `smallest_form` stores the codes in as few bits as they need.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import new_constant, registered, remove_constant
from worker.compression.ir.mapped_tensors import MappedTensors, release
from worker.compression.ir.values import array_of

HALF: Final = 0.5


@dataclass(frozen=True)
class CodebookWeight:
    """`value` is what the layer reads, `codes` are uint8 in its shape; `learnt` is the float constant that says what
    they stand for: a codebook, or the scales of a binary weight."""

    value: ir.Value
    codes: ir.Value
    learnt: ir.Value
    offsets: ir.Value | None
    binary: bool

    @property
    def bits(self) -> int:
        """Bits that the largest code needs."""
        return max(1, int(array_of(self.codes).max(initial=0)).bit_length())

    def expanded(self) -> Array:
        """The weight, float32."""
        codes, learnt = array_of(self.codes), array_of(self.learnt)
        if self.binary:
            return np.asarray((codes.astype(np.float32) - np.float32(HALF)) * learnt)
        places = codes.astype(np.int64) + (0 if self.offsets is None else array_of(self.offsets))
        return np.asarray(learnt[places])


def codebook_weight_of(value: ir.Value | None) -> CodebookWeight | None:
    """Find the weight behind a value that a layer reads; None where it is not made of few values."""
    node = None if value is None else value.producer()
    if node is None or node.domain not in ("", "ai.onnx"):
        return None
    return (
        _codebook_weight(node)
        if node.op_type == "Gather"
        else _binary_weight(node)
        if node.op_type == "Mul"
        else None
    )


def weight_of_codes(codes: ir.Value) -> CodebookWeight | None:
    """Find the weight that these codes belong to; None for other constants."""
    value = codes
    for _ in range(3):
        readers = [use.node for use in value.uses()]
        if len(readers) != 1:
            return None
        value = readers[0].outputs[0]
        weight = codebook_weight_of(value)
        if weight is not None:
            return weight if weight.codes is codes else None
    return None


def weight_of_learnt(value: ir.Value) -> CodebookWeight | None:
    """Find the weight whose codebook or scales this constant is; None for other constants."""
    readers = [use.node for use in value.uses()]
    weight = codebook_weight_of(readers[0].outputs[0]) if len(readers) == 1 else None
    return weight if weight is not None and weight.learnt is value else None


@dataclass(frozen=True)
class CodebookWriter:
    """Puts such weights into a graph. `fresh` makes a name that nothing has yet; codes go through `spill`, where there
    is one."""

    model: ir.Model
    fresh: Callable[[str], str]
    spill: MappedTensors | None = None

    def palette(self, weight: ir.Value, codes: Array, codebook: Array, offsets: Array | None = None) -> None:
        """codes uint8 in the weight's shape, codebook float32 [n], offsets int32 that broadcast with the codes."""
        places = self._node("Cast", [self._constant(f"{weight.name}_codes", codes)], to=ir.DataType.INT32)
        if offsets is not None:
            places = self._node(
                "Add", [places.outputs[0], self._constant(f"{weight.name}_offsets", offsets)], after=places
            )
        table = self._constant(f"{weight.name}_codebook", codebook)
        self._read(weight, self._node("Gather", [table, places.outputs[0]], after=places))

    def binary(self, weight: ir.Value, codes: Array, scale: Array) -> None:
        """codes uint8 of 0 and 1, scale float32 (the distance of both values) that broadcasts with them."""
        cast = self._node("Cast", [self._constant(f"{weight.name}_codes", codes)], to=ir.DataType.FLOAT)
        half = self._constant(f"{weight.name}_half", np.array(HALF, np.float32))
        signs = self._node("Sub", [cast.outputs[0], half], after=cast)
        scales = self._constant(f"{weight.name}_scale", scale)
        self._read(weight, self._node("Mul", [signs.outputs[0], scales], after=signs))

    def _node(
        self, kind: str, inputs: list[ir.Value], after: ir.Node | None = None, **attributes: Any
    ) -> ir.Node:
        made = ir.node(kind, inputs, attributes, name=self.fresh(f"shared_{kind}"))
        made.outputs[0].name = self.fresh(str(made.name))
        if after is None:
            self.model.graph.insert_before(self.model.graph[0], [made])
        else:
            self.model.graph.insert_after(after, [made])
        return made

    def _read(self, weight: ir.Value, made: ir.Node) -> None:
        """Let every reader of the weight read the last node's result, under the weight's name."""
        value = made.outputs[0]
        release(weight)
        remove_constant(weight)
        value.shape, value.dtype, value.name = weight.shape, ir.DataType.FLOAT, weight.name
        weight.replace_all_uses_with(value)

    def _constant(self, name: str, array: Array) -> ir.Value:
        if self.spill is not None:
            return registered(self.model.graph, self.spill.append(self.fresh(name), array))
        return new_constant(self.model.graph, self.fresh(name), array)


def _codebook_weight(gather: ir.Node) -> CodebookWeight | None:
    table, places = gather.inputs[0], gather.inputs[1]
    if not _is_float(table, 1) or gather.attributes.get_int("axis", 0) != 0 or places is None:
        return None
    source, offsets = places.producer(), None
    if source is not None and source.op_type == "Add":
        offsets = source.inputs[1]
        if offsets is None or offsets.const_value is None:
            return None
        source = None if source.inputs[0] is None else source.inputs[0].producer()
    codes = _codes(source)
    assert table is not None
    return None if codes is None else CodebookWeight(gather.outputs[0], codes, table, offsets, binary=False)


def _binary_weight(product: ir.Node) -> CodebookWeight | None:
    signs, scale = product.inputs[0], product.inputs[1]
    less = None if signs is None else signs.producer()
    if less is None or less.op_type != "Sub" or scale is None or not _is_float(scale):
        return None
    half = less.inputs[1]
    if half is None or half.const_value is None or half.const_value.numpy().tolist() != HALF:
        return None
    codes = _codes(None if less.inputs[0] is None else less.inputs[0].producer())
    return None if codes is None else CodebookWeight(product.outputs[0], codes, scale, None, binary=True)


def _codes(cast: ir.Node | None) -> ir.Value | None:
    if cast is None or cast.op_type != "Cast":
        return None
    codes = cast.inputs[0]
    stored = None if codes is None else codes.const_value
    return codes if stored is not None and stored.dtype == ir.DataType.UINT8 else None


def _is_float(value: ir.Value | None, rank: int | None = None) -> bool:
    stored = None if value is None else value.const_value
    floats = (ir.DataType.FLOAT, ir.DataType.FLOAT16)
    return stored is not None and stored.dtype in floats and rank in (None, len(stored.shape))
