"""Count what a graph is made of, to tell what became of it."""

from collections import Counter
from dataclasses import dataclass

import onnx_ir as ir

from worker.compression.graph.facts.facts import operators

CONSTANT = "Constant"


@dataclass(frozen=True)
class GraphCounts:
    """How many nodes of each operator, and how many constants, whether nodes or initializers; subgraphs included."""

    operators: Counter[str]
    constants: int

    @classmethod
    def of(cls, model: ir.Model) -> "GraphCounts":
        """Count a graph whose functions are inlined."""
        counted = Counter(operators(model))
        nodes = counted.pop(CONSTANT, 0)
        return cls(counted, nodes + sum(len(graph.initializers) for graph in model.graphs()))

    @property
    def nodes(self) -> int:
        return self.operators.total()

    def changes_to(self, other: "GraphCounts") -> int:
        """How many nodes went or are new, and how many constants."""
        gone, new = self.operators - other.operators, other.operators - self.operators
        return gone.total() + new.total() + abs(self.constants - other.constants)
