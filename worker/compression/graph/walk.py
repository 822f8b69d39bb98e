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
