"""Turns nodes of a graph to float16, with a Cast wherever one meets a node that stays in float32."""

from typing import Final

import onnx_ir as ir

from worker.compression.graph.opset.conversion import opset_of
from worker.compression.half_precision.casting import cast_output, insert_cast, narrowed
from worker.compression.half_precision.float16_ports import Ports, find_ports, is_tensor
from worker.compression.ir.edit import new_constant, registered
from worker.compression.ir.mapped_tensors import MappedTensors, release
from worker.compression.ir.naming import Names
from worker.compression.ir.values import required_input

FLOAT: Final = ir.DataType.FLOAT
HALF: Final = ir.DataType.FLOAT16


class Converter:
    """Turns the ports `halves` to float16. A value exists in each precision at most once; outputs of branches and
    bodies keep float32."""

    def __init__(
        self, model: ir.Model, halves: dict[ir.Node, Ports], spill: MappedTensors | None = None
    ) -> None:
        """Weights in float16 go through `spill`, where there is one."""
        self._spill = spill
        self._graph, self._opset = model.graph, opset_of(model)
        self._inner = [graph for graph in model.graphs() if graph is not model.graph]
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
        in_half: dict[ir.Value, ir.Value] = {}
        for node, index in uses:
            value = required_input(node, index)
            if value not in self._float16:
                if value not in in_half:
                    in_half[value] = self._narrow(value)
                node.replace_input_with(index, in_half[value])
        for value in list(self._float16):
            self._widen(value)
            value.type = ir.TensorType(HALF)  # a clone shares the type of what it was made from
        for value in to_float:
            cast_output(self._graph, value, FLOAT, self._names)
        for graph in self._inner:
            for value in dict.fromkeys(v for v in graph.outputs if v in self._float16):
                cast_output(graph, value, FLOAT, self._names)
        for value in to_half:
            cast_output(self._graph, value, HALF, self._names)
        return in_half

    def _float32_outputs(self) -> list[ir.Value]:
        """List outputs that nodes without a float16 form make (Loop, If, SequenceAt, Cast): they are cast."""
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
        half = narrowed(value.const_value.numpy())
        release(value)
        if self._spill is not None:
            return registered(self._graph, self._spill.append(name, half))
        return new_constant(self._graph, name, half)

    def _widen(self, value: ir.Value) -> None:
        """Give all that read this float16 value as float32, subgraphs included, a Cast of it."""
        readers = [
            use
            for use in value.uses()
            if not (use.node in self._halves and use.idx in self._halves[use.node].inputs)
        ]
        if readers:
            wide = self._cast(value, FLOAT, f"{value.name}_float32")
            for use in readers:
                use.node.replace_input_with(use.idx, wide)

    def _cast(self, value: ir.Value, to: ir.DataType, wish: str) -> ir.Value:
        return insert_cast(self._graph, value, to, self._names.fresh(wish), self._names)
