"""The messages of an ONNX graph, as much of them as rules look at. Numbers of fields are those of onnx.proto."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from math import isfinite, prod
from typing import Final

from winnow.contract.target_rules.graph import STANDARD, AttributeValue
from winnow.contract.wire import Bytes, Span, fields, signed, varint

DTYPES: Final = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
    17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2", 20: "float8_e5m2fnuz", 21: "uint4", 22: "int4",
    23: "float4_e2m1fn", 24: "float8_e8m0", 25: "uint2", 26: "int2",
}  # fmt: skip
"""TensorProto.DataType → numpy's name."""
MAX_ZERO_BYTES: Final = 1 << 20
"""Of a constant that is looked through for anything but zeros."""
MAX_NUMBERS: Final = 2**63 - 1
"""Of a tensor."""
MAX_RANK: Final = 64
MAX_LISTED: Final = 16
"""Numbers of an attribute that are kept."""
MAX_TEXT: Final = 200
"""Bytes of an attribute that are kept."""
MAX_LEVELS: Final = 50
"""Graphs inside nodes of graphs."""


@dataclass(frozen=True)
class Tensor:
    """`zero` is None where its numbers lie elsewhere, or are too many to look through."""

    name: str
    dtype: str | None
    shape: list[int]
    zero: bool | None


@dataclass(frozen=True)
class Value:
    """`shape` is None where even the number of dimensions is not known; one that varies is its name, or empty."""

    name: str
    dtype: str | None
    shape: list[int | str] | None


@dataclass(frozen=True)
class Node:
    """`graphs` are those of its attributes, `constant` what a Constant node holds."""

    name: str
    op: str
    domain: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, AttributeValue]
    graphs: "list[Graph]"
    constant: Tensor | None


@dataclass(frozen=True)
class Graph:
    nodes: list[Node] = field(default_factory=list)
    initializers: list[Tensor] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)


def text_of(content: Bytes, span: Span) -> str:
    """Raises `ValueError` for what is no UTF-8."""
    try:
        return bytes(content[slice(*span)]).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the name at byte {span[0]} is no UTF-8") from error


def graph_of(content: Bytes, begin: int, end: int, level: int = 0) -> Graph:
    """Read a GraphProto. Raises `ValueError`."""
    if level > MAX_LEVELS:
        raise ValueError(f"it has graphs within graphs, more than {MAX_LEVELS} deep")
    graph = Graph()
    for number, _, span in fields(content, begin, end):
        match number:
            case 1:
                graph.nodes.append(_node(content, *span, level))
            case 5:
                graph.initializers.append(_tensor(content, *span))
            case 11:
                graph.inputs.append(_value(content, *span))
            case 12:
                graph.outputs.append(_value(content, *span))
            case 13:
                graph.values.append(_value(content, *span))
    return graph


def _node(content: Bytes, begin: int, end: int, level: int) -> Node:
    texts: dict[int, list[str]] = {}
    attributes: dict[str, AttributeValue] = {}
    graphs: list[Graph] = []
    constants: list[Tensor] = []
    for number, _, span in fields(content, begin, end):
        if number == 5:
            _read_attribute(content, *span, level, attributes, graphs, constants)
        elif number in (1, 2, 3, 4, 7):
            texts.setdefault(number, []).append(text_of(content, span))
    op, domain = texts.get(4, [""])[-1], texts.get(7, [""])[-1]
    return Node(
        texts.get(3, [""])[-1],
        op,
        domain,
        texts.get(1, []),
        texts.get(2, []),
        attributes,
        graphs,
        (constants or [Tensor("", None, [], None)])[0] if op == "Constant" and domain in STANDARD else None,
    )


def _read_attribute(
    content: Bytes,
    begin: int,
    end: int,
    level: int,
    attributes: dict[str, AttributeValue],
    graphs: list[Graph],
    constants: list[Tensor],
) -> None:
    """AttributeProto: 1 name, 2 f, 3 i, 4 s, 5 t, 6 g, 8 ints, 11 graphs. What is infinite or no number is left out:
    JSON has neither."""
    name, ints = "", list[int]()
    value: AttributeValue | None = None
    for number, (at, _), span in fields(content, begin, end):
        match number:
            case 1:
                name = text_of(content, span)
            case 2:
                value = real if isfinite(real := _float(content, span)) else None
            case 3:
                value = signed(varint(content, span[0])[0])
            case 4 if span[1] - span[0] <= MAX_TEXT:
                value = bytes(content[slice(*span)]).decode(errors="replace")
            case 5:
                constants.append(_tensor(content, *span))
            case 6 | 11:
                graphs.append(graph_of(content, *span, level + 1))
            case 8 if len(ints) < MAX_LISTED:
                ints += islice(_numbers(content, at, span), MAX_LISTED)
    if ints:
        value = ints[:MAX_LISTED]
    if value is not None:
        attributes[name] = value


def _float(content: Bytes, span: Span) -> float:
    if span[1] - span[0] != 4:
        raise ValueError(f"byte {span[0]} is to begin a number of 4 bytes, and there are {span[1] - span[0]}")
    return float(struct.unpack("<f", content[slice(*span)])[0])


def _numbers(content: Bytes, tag_at: int, span: Span) -> Iterator[int]:
    """Of a repeated field of whole numbers: one of them, or several packed."""
    packed = content[tag_at] & 7 == 2
    at, end = span
    while at < end:
        value, at = varint(content, at)
        yield signed(value)
        if not packed:
            return


def _tensor(content: Bytes, begin: int, end: int) -> Tensor:
    """TensorProto: 1 dims, 2 data_type, 5 int32_data, 7 int64_data, 8 name, 9 raw_data, 13 external_data,
    14 data_location."""
    name, dtype, shape = "", 0, list[int]()
    zero: bool | None = None
    for number, (tag_at, _), span in fields(content, begin, end):
        match number:
            case 1 if len(shape) <= MAX_RANK:
                shape += islice(_numbers(content, tag_at, span), MAX_RANK + 1)
            case 2:
                dtype = varint(content, span[0])[0]
            case 5 | 7 if span[1] - span[0] <= MAX_ZERO_BYTES:
                zero = zero is not False and not any(_numbers(content, tag_at, span))
            case 8:
                name = text_of(content, span)
            case 9 if span[1] - span[0] <= MAX_ZERO_BYTES:
                zero = not any(content[slice(*span)])
    if len(shape) > MAX_RANK or prod(shape) > MAX_NUMBERS:
        raise ValueError(f"the tensor at byte {begin} is to have more dimensions or numbers than any file")
    return Tensor(name, DTYPES.get(dtype), shape, zero)


def _value(content: Bytes, begin: int, end: int) -> Value:
    """ValueInfoProto: 1 name, 2 type; TypeProto: 1 tensor_type; its 1 elem_type, 2 shape."""
    name, dtype = "", None
    shape: list[int | str] | None = None
    for number, _, span in fields(content, begin, end):
        if number == 1:
            name = text_of(content, span)
        elif number == 2:
            for kind, _, tensor in fields(content, *span):
                if kind != 1:
                    continue
                for part, _, inner in fields(content, *tensor):
                    if part == 1:
                        dtype = DTYPES.get(varint(content, inner[0])[0])
                    elif part == 2:
                        shape = [_dimension(content, *d) for n, _, d in fields(content, *inner) if n == 1]
    return Value(name, dtype, shape)


def _dimension(content: Bytes, begin: int, end: int) -> int | str:
    """Dimension: 1 dim_value, 2 dim_param; neither, or a value below 0, where nothing is known."""
    for number, _, span in fields(content, begin, end):
        if number == 1:
            size = signed(varint(content, span[0])[0])
            return "" if size < 0 else size
        if number == 2:
            return text_of(content, span)
    return ""
