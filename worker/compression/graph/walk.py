"""Walks over an ONNX protobuf, before any library has made sense of it."""

from collections.abc import Iterator
from typing import TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)


def messages(root: Message, kind: type[M]) -> Iterator[M]:
    """Every message of a kind, however deep: subgraphs, functions, sparse values, training graphs, anything.

    The protobuf parser has bounded the depth (100 levels) when it read the file.
    """
    for _, value in root.ListFields():
        if isinstance(value, Message):
            items = [value]
        elif (
            isinstance(value, (str, bytes, int, float)) or not len(value) or not isinstance(value[0], Message)
        ):
            continue
        else:
            items = value
        for item in items:
            if isinstance(item, kind):
                yield item
            yield from messages(item, kind)


def first_broken_text(root: Message) -> str | None:
    """The field with a text that is not UTF-8, None if there is none. protobuf answers bytes for such a text."""
    for field, value in root.ListFields():
        items = [value] if isinstance(value, (Message, str, bytes)) else value
        if field.type == field.TYPE_STRING and any(isinstance(item, bytes) for item in items):
            return f"{root.DESCRIPTOR.name}.{field.name}"
        if field.type == field.TYPE_MESSAGE:
            for item in items:
                if (found := first_broken_text(item)) is not None:
                    return found
    return None
