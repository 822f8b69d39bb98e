"""Which nodes a pattern means."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

import onnx_ir as ir


def excluded(node: ir.Node, patterns: Iterable[str]) -> bool:
    """Whether a shell-style pattern matches the node's name."""
    return any(fnmatchcase(node.name or "", pattern) for pattern in patterns)
