"""Write what a node computes in other operators, in its place."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.values import required_input


class Writing:
    """The nodes that are to stand for one node; `opset` is the model's."""

    def __init__(self, edit: GraphEdit, node: ir.Node, opset: int) -> None:
        self.node, self.opset, self.nodes = node, opset, list[ir.Node]()
        self._edit, self._name = edit, str(node.outputs[0].name)

    def add(self, operator: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """Add a node of ONNX's own with one output, and return that."""
        made = self.add_node(operator, *inputs, **attributes)
        return made.outputs[0]

    def add_node(
        self, operator: str, *inputs: ir.Value | None, outputs: int = 1, **attributes: Any
    ) -> ir.Node:
        """Add a node of ONNX's own. The first takes the name of the node that it stands for."""
        made = self._edit.new_node(operator, inputs, f"{self._name}_{operator.lower()}", attributes)
        if outputs > 1:
            made.resize_outputs(outputs)
            for value in made.outputs[1:]:
                value.name = self._edit.fresh_name(f"{self._name}_{operator.lower()}")
        self.nodes.append(made)
        return made

    def discard(self) -> None:
        """Let what was added read nothing: it stands for nothing."""
        for node in self.nodes:
            for index in range(len(node.inputs)):
                node.replace_input_with(index, None)

    def numbers(self, numbers: npt.ArrayLike, dtype: npt.DTypeLike = np.int64) -> ir.Value:
        """Add a constant."""
        return self._edit.new_constant(f"{self._name}_constant", np.array(numbers, dtype))

    def number(self, number: float) -> ir.Value:
        """Add a single number of the type that the node's first input has."""
        dtype = required_input(self.node, 0).dtype
        assert dtype is not None
        return self.numbers(number, dtype.numpy())
