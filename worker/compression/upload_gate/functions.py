"""Count how large a model becomes when its functions are inlined, without inlining.

A file of 1.6 kB with 25 functions that each call the one before twice expands to 2²⁵ nodes.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

import onnx
from google.protobuf.message import Message

from winnow.contract.errors import Refusal
from worker.compression.ir.known_operators import domain_of
from worker.compression.ir.protobuf_walk import messages, texts

MAX_DEPTH: Final = 64

DESCRIPTIONS: Final = frozenset({"doc_string", "value"})
"""Fields with texts that nobody looks anything up by: what people wrote, and values of metadata."""

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Size:
    """What the work on a graph grows with. `graphs` are those inside nodes too, `ends` inputs without a default and
    outputs of the model. `links` is the sum over nodes of (inputs + outputs)²: whoever replaces the inputs of a node
    one by one writes all of them each time. `names` are the characters of all texts but descriptions, `parts`
    protobuf messages of any kind."""

    nodes: int = 0
    graphs: int = 0
    tensors: int = 0
    ends: int = 0
    links: int = 0
    names: int = 0
    parts: int = 0
    bytes: int = 0

    def __add__(self, other: "Size") -> "Size":
        return Size(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __mul__(self, times: int) -> "Size":
        return Size(*(times * value for value in vars(self).values()))


MAX_SIZE: Final = Size(
    nodes=25_000,
    graphs=2_000,
    tensors=20_000,
    ends=1_000,
    links=50_000_000,
    names=2**24,
    parts=500_000,
    bytes=2**31,
)
"""About 20 s of one core from the gate to ONNX Runtime's session, whatever the graph looks like. The largest exports
that were seen have 15,000 nodes."""


def check_expansion(model: onnx.ModelProto) -> None:
    """Bound the model after inlining.

        size(f) = own size + Σ calls(g) · size(g)

    Raises `Refusal` `model_too_complex`; `invalid_model` for a function that calls itself, and for a text that is not
    UTF-8: all that comes after reads names as texts.
    """
    _check(_own(model) + Size(ends=_ends(model.graph)))
    if model.functions:
        _check(expanded_size(model))


def expanded_size(model: onnx.ModelProto) -> Size:
    """Compute the size with all functions inlined. Raises as `check_expansion`."""
    bodies = {(domain_of(f), f.name, str(f.overload)): f for f in model.functions}
    return _expanded(model.graph, bodies, {}, ())


def _check(size: Size) -> None:
    beyond = [name for name, limit in vars(MAX_SIZE).items() if getattr(size, name) > limit]
    if beyond:
        excess = ", ".join(
            f"{getattr(size, name)} {name} ({getattr(MAX_SIZE, name)} are the most)" for name in beyond
        )
        raise Refusal(
            "model_too_complex",
            f"With its functions inlined this model has {excess}. Export it with loops instead of unrolled steps, or "
            "with less beside the network.",
        )


def _own(body: Message) -> Size:
    """Compute the size without what calls of functions add; of more parts than are allowed, no more are counted."""
    counts: Counter[type[Message]] = Counter()
    links = names = 0
    for message in chain([body], islice(messages(body, Message), MAX_SIZE.parts + 1)):
        counts[type(message)] += 1
        if isinstance(message, onnx.NodeProto):
            links += (len(message.input) + len(message.output)) ** 2
        names += _characters(message)
    return Size(
        nodes=counts[onnx.NodeProto],
        graphs=counts[onnx.GraphProto],
        tensors=counts[onnx.TensorProto],
        links=links,
        names=names,
        parts=sum(counts.values()) - 1,
        bytes=int(body.ByteSize()),
    )


def _characters(message: Message) -> int:
    """Count the characters of its own texts. Raises `invalid_model` for one that is not UTF-8."""
    total = 0
    for field, text in texts(message):
        if isinstance(text, bytes):
            where = f"{message.DESCRIPTOR.name}.{field}"
            detail = f"A text in the file ({where}) is not UTF-8, as ONNX wants it. Export the model anew."
            raise Refusal("invalid_model", detail)
        if field not in DESCRIPTIONS:
            total += len(text)
    return total


def _ends(graph: onnx.GraphProto) -> int:
    defaults = {tensor.name for tensor in graph.initializer}
    return len(graph.output) + sum(value.name not in defaults for value in graph.input)


def _expanded(
    body: onnx.GraphProto | onnx.FunctionProto,
    bodies: dict[Key, onnx.FunctionProto],
    known: dict[Key, Size],
    callers: tuple[Key, ...],
) -> Size:
    size = _own(body)
    keys = ((domain_of(n), str(n.op_type), str(n.overload)) for n in messages(body, onnx.NodeProto))
    for key, calls in Counter(key for key in keys if key in bodies).items():
        if key in callers or len(callers) >= MAX_DEPTH:
            raise Refusal(
                "invalid_model", f"The function {key[1]!r} calls itself, or too many others in a row."
            )
        if key not in known:
            known[key] = _expanded(bodies[key], bodies, known, (*callers, key))
        size = size + known[key] * calls
    return size
