"""Walk over an ONNX protobuf, before any library has made sense of it."""

from collections.abc import Iterator
from functools import cache
from typing import TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)


def messages(root: Message, kind: type[M]) -> Iterator[M]:
    """Yield every message of a kind below the root, each before what it holds: in subgraphs, functions, sparse values,
    training graphs, anywhere. Fields that cannot hold one are not entered.
    """
    waiting = _inside(root, kind)
    while waiting:
        message = waiting.pop()
        if isinstance(message, kind):
            yield message
        waiting += _inside(message, kind)


def texts(message: Message) -> Iterator[tuple[str, str | bytes]]:
    """Yield the message's own texts, each with its field's name; bytes where one is not UTF-8."""
    for name, repeated in _texts(message.DESCRIPTOR):
        value = getattr(message, name)
        if not repeated:
            yield name, value
            continue
        for text in value:
            yield name, text


def _inside(message: Message, kind: type[Message]) -> list[Message]:
    """Find the messages that its fields hold and that may lead to one of the kind, the last one first."""
    inner: list[Message] = []
    for name, repeated in _fields(message.DESCRIPTOR, kind.DESCRIPTOR):
        if repeated:
            inner += getattr(message, name)
        elif message.HasField(name):
            inner.append(getattr(message, name))
    inner.reverse()
    return inner


@cache
def _texts(holder: Descriptor) -> tuple[tuple[str, bool], ...]:
    fields: list[FieldDescriptor] = list(holder.fields)
    return tuple((field.name, field.is_repeated) for field in fields if field.type == field.TYPE_STRING)


@cache
def _fields(holder: Descriptor, wanted: Descriptor | None) -> tuple[tuple[str, bool], ...]:
    """Find the names of the fields that lead to the wanted message (None: to any), and whether they repeat."""
    return tuple(
        (field.name, field.is_repeated)
        for field in holder.fields
        if field.message_type is not None and (wanted is None or wanted in _reached(field.message_type))
    )


@cache
def _reached(start: Descriptor) -> frozenset[Descriptor]:
    """Find the kinds of messages that one of this kind may be or hold, however deep."""
    known, waiting = {start}, [start]
    while waiting:
        fields: list[FieldDescriptor] = list(waiting.pop().fields)
        new = {field.message_type for field in fields if field.message_type is not None} - known
        known |= new
        waiting += new
    return frozenset(known)
