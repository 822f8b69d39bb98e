"""The ONNX standard's own examples of every operator."""

import pickle
import warnings
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import onnx
from filelock import FileLock

SHORT: Final = 12
"""Nodes: longer ones are operators that the standard writes as functions, written out."""


def standard_cases(file: Path) -> list[Any]:
    """Those that have a model; of long ones the first of each sequence of nodes, where others differ in sizes alone.
    Collecting takes seconds: who comes first does it, and leaves them in the file."""
    with FileLock(f"{file}.lock"):
        if not file.exists():
            file.write_bytes(pickle.dumps(_collected()))
    return list(pickle.loads(file.read_bytes()))


def _collected() -> list[Any]:
    from onnx.backend.test.case import base

    with warnings.catch_warnings(), patch.object(base, "process_snippet", lambda *_: ("", "")):
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import (
            collect_testcases,
        )  # whose modules read their own source for snippets

        cases = [case for case in collect_testcases(None) if case.model]
    return [*{_sequence(case): case for case in reversed(cases)}.values()][::-1]


def _sequence(case: Any) -> object:
    """Equal where one case stands for both."""
    nodes = case.model.graph.node
    return case.name if len(nodes) <= SHORT else tuple(map(_node, nodes))


def _node(node: onnx.NodeProto) -> object:
    """All but the names of its values, and the number that a constant is."""
    attributes = () if node.op_type == "Constant" else tuple(sorted(map(str, node.attribute)))
    return node.op_type, len(node.input), len(node.output), attributes
