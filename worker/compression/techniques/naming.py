"""Names: which nodes a pattern leaves out, and new values that collide with nothing."""

import onnx_ir as ir

from worker.compression.graph.naming import excluded

__all__ = ["Names", "excluded"]


class Names:
    """Hands out names that no value and no node of the model has, in subgraphs either."""

    def __init__(self, model: ir.Model) -> None:
        self._taken: set[str | None] = set()
        for graph in model.graphs():
            self._taken |= {value.name for value in graph.inputs} | set(graph.initializers)
            for node in graph:
                self._taken |= {node.name, *(value.name for value in node.outputs)}

    def fresh(self, wish: str) -> str:
        name, number = wish, 0
        while name in self._taken:
            number += 1
            name = f"{wish}_{number}"
        self._taken.add(name)
        return name
