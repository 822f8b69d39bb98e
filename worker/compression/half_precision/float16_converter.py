"""Turns nodes of a graph to float16, with a Cast wherever one meets a node that stays in float32."""

from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.opset.conversion import opset_of
from worker.compression.half_precision.casting import insert_cast
from worker.compression.half_precision.float16_ports import Ports, find_ports, is_tensor
from worker.compression.ir.constants import new_constant
from worker.compression.ir.naming import Names

FLOAT: Final = ir.DataType.FLOAT
HALF: Final = ir.DataType.FLOAT16


class Converter:
    """Turns the ports `halves` to float16. A value exists in each precision at most once."""

    def __init__(self, model: ir.Model, halves: dict[ir.Node, Ports]) -> None:
        self._graph, self._opset = model.graph, opset_of(model)
        self._halves = halves
        self._names = Names(model)
        self._float16 = {node.outputs[i]: None for node, ports in halves.items() for i in ports.outputs}

    def convert(self, halved: frozenset[str]) -> dict[ir.Value, ir.Value]:
        """Convert in place. `halved`: the inputs and outputs that are float16 afterwards; the others keep float32.

        Returns the float16 forms by what was float32.
        """
        uses = [(node, i) for node, ports in self._halves.items() for i in ports.inputs]
        self._float16 |= {v: None for v in self._graph.inputs if v.dtype == FLOAT and v.name in halved}
        to_float = [v for v in self._graph.outputs if v in self._float16 and v.name not in halved]
        to_half = [v for v in self._float32_outputs() if v.name in halved]
        narrowed: dict[ir.Value, ir.Value] = {}
        for node, index in uses:
            value = node.inputs[index]
            assert value is not None
            if value not in self._float16:
                if value not in narrowed:
                    narrowed[value] = self._narrow(value)
                node.replace_input_with(index, narrowed[value])
        for value in list(self._float16):
            self._widen(value)
            value.type = ir.TensorType(HALF)  # a clone shares the type of what it was made from
        for value in to_float:
            self._cast_output(value, FLOAT)
        for value in to_half:
            self._cast_output(value, HALF)
        return narrowed

    def _float32_outputs(self) -> list[ir.Value]:
        """The model's outputs that nodes without a float16 form make (Loop, If, SequenceAt, Cast): they are cast."""
        makers = [(value, value.producer()) for value in self._graph.outputs if value.dtype == FLOAT]
        return [
            v
            for v, maker in makers
            if maker is not None and is_tensor(v) and not find_ports(maker, self._opset)
        ]

    def _narrow(self, value: ir.Value) -> ir.Value:
        """Make the float16 form of a weight, or of a value that stays float32."""
        if value.const_value is None:
            return self._cast(value, HALF, f"{value.name}_float16")
        name = self._names.fresh(f"{value.name}_float16")
        return new_constant(self._graph, name, value.const_value.numpy().astype(np.float16))

    def _widen(self, value: ir.Value) -> None:
        """Give all that read this float16 value as float32, subgraphs included, a Cast of it."""
        readers = [use for use in value.uses() if not self._takes_half(use.node, use.idx)]
        if readers:
            wide = self._cast(value, FLOAT, f"{value.name}_float32")
            for use in readers:
                use.node.replace_input_with(use.idx, wide)

    def _takes_half(self, node: ir.Node, index: int) -> bool:
        return node in self._halves and index in self._halves[node].inputs

    def _cast_output(self, value: ir.Value, to: ir.DataType) -> None:
        """Cast an output of the model to this type, under the name that it has."""
        name = value.name
        value.name = self._names.fresh(f"{name}_{'float16' if to == FLOAT else 'float32'}")
        turned = self._cast(value, to, f"{name}_cast")
        turned.name = name
        for index, output in enumerate(self._graph.outputs):
            if output is value:
                self._graph.outputs[index] = turned

    def _cast(self, value: ir.Value, to: ir.DataType, wish: str) -> ir.Value:
        return insert_cast(self._graph, value, to, self._names.fresh(wish), self._names)
