"""Match nodes to patterns of names, and make names that collide with nothing."""

from collections.abc import Iterable

import onnx_ir as ir

from winnow.contract.glob import matches_any


def excluded(node: ir.Node, patterns: Iterable[str]) -> bool:
    """Whether a shell-style pattern matches the node's name, or that of the table which it gathers from."""
    patterns = tuple(patterns)
    return any(matches_any(name, patterns) for name in (node.name or "", *filter(None, [table_name(node)])))


def table_name(node: ir.Node) -> str | None:
    """Return the name of the constant that a Gather takes from; None for other nodes."""
    table = node.inputs[0] if node.op_type == "Gather" else None
    return table.name if table is not None and table.is_initializer() else None


class FreshNames:
    """Names that are given once each: the wish itself, or with the next free number behind it."""

    def __init__(self) -> None:
        self._taken: set[str | None] = set()
        self._last: dict[str, int] = {}

    def fresh(self, wish: str) -> str:
        name, number = wish, self._last.get(wish, 0)
        while name in self._taken:
            number += 1
            name = f"{wish}_{number}"
        self._taken.add(name)
        self._last[wish] = number
        return name


class Names(FreshNames):
    """A source of names that no value and no node of the model has, in subgraphs either."""

    def __init__(self, model: ir.Model) -> None:
        super().__init__()
        for graph in model.graphs():
            self._taken |= {value.name for value in graph.inputs} | set(graph.initializers)
            for node in graph:
                self._taken |= {node.name, *(value.name for value in node.outputs)}
