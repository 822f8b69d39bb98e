"""What a process would log, as it would stand in its log."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from app.logs import LogFormat, formatter


@contextmanager
def logged(log_format: LogFormat = "json") -> Iterator[Callable[[], list[str]]]:
    """The lines so far, of level INFO and above, whenever it is called."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    handler.setFormatter(formatter(log_format))
    root.addHandler(handler)
    root.setLevel("INFO")
    try:
        yield lambda: stream.getvalue().splitlines()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def entries(lines: list[str]) -> list[dict[str, Any]]:
    """Lines of JSON, read."""
    return [json.loads(line) for line in lines]
