"""Changing a graph: which nodes a step may change, new names, constants and nodes, one node in place of another."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes import common as passes

from worker.compression.ir.mapped_tensors import MappedTensors
from worker.compression.ir.naming import Names, excluded
from worker.compression.ir.values import all_nodes, graph_of


def new_constant(graph: ir.Graph, name: str, array: npt.NDArray[Any]) -> ir.Value:
    """Add an initializer to the graph, under a name that is free."""
    return registered(graph, ir.tensor(np.asarray(array, order="C"), name=name))


def registered(graph: ir.Graph, tensor: ir.TensorProtocol) -> ir.Value:
    """Add a tensor that has its name as an initializer, wherever its bytes lie."""
    shape = ir.Shape(tensor.shape.numpy())
    value = ir.Value(name=tensor.name, shape=shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def insert_behind(graph: ir.Graph, value: ir.Value, nodes: ir.Node | Sequence[ir.Node]) -> None:
    """Insert nodes behind the one that makes a value, in its graph: whoever reads it, in subgraphs too, may then read
    what they make. For inputs and constants before all nodes of theirs, `graph` where they are in none."""
    if (producer := value.producer()) is not None:
        graph_of(producer).insert_after(producer, nodes)
        return
    own = value.graph if isinstance(value.graph, ir.Graph) else graph
    if len(own) > 0:
        own.insert_before(own[0], nodes)


def remove_constant(value: ir.Value) -> None:
    """Remove an initializer that nothing reads, from whichever graph it is in."""
    graph_of(value).initializers.pop(str(value.name))


def remove_unused(model: ir.Model) -> None:
    """Remove nodes and initializers that nothing reads, in subgraphs too: onnx-ir's pass leaves initializers there."""
    passes.RemoveUnusedNodesPass()(model)
    for graph in model.graphs():
        for value in list(graph.initializers.values()):
            if not (value.uses() or value.is_graph_output() or value.is_graph_input()):
                remove_constant(value)


def put_in_place(
    node: ir.Node, nodes: Sequence[ir.Node], results: Iterable[tuple[ir.Value, ir.Value]]
) -> None:
    """Put nodes in a node's place, in whichever graph that is; of each pair the second takes over from the first, an
    output of the node."""
    graph = graph_of(node)
    graph.insert_before(node, nodes)
    for before, after in results:
        take_over(before, after)
    graph.remove(node, safe=True)


def take_over(before: ir.Value, after: ir.Value) -> None:
    """Let a value have the name, shape, type and readers of another."""
    name, after.shape, after.type = before.name, before.shape, before.type or after.type
    ir.convenience.replace_all_uses_with(before, after, replace_graph_outputs=True)
    if name:
        before.name, after.name = None, name


class GraphEdit:
    """The changes that one step makes to one graph; made once, and handed to all that take part.

    Nodes that a pattern of `exclude` matches stay as they are. Names that it hands out collide with nothing.
    """

    def __init__(
        self, model: ir.Model, exclude: Iterable[str] = (), spill: MappedTensors | None = None
    ) -> None:
        """New constants go through `spill`, where there is one."""
        self._spill = spill
        self.model, self.graph, self.exclude = model, model.graph, tuple(exclude)
        self._names = Names(model)

    def on_clone(self) -> "GraphEdit":
        """Edit a copy of the model by the same patterns."""
        return GraphEdit(self.model.clone(), self.exclude, self._spill)

    def nodes(self) -> Iterator[ir.Node]:
        """Yield all nodes, those of branches and bodies too."""
        return all_nodes(self.model)

    def may_change(self, node: ir.Node) -> bool:
        """Whether no pattern excludes the node."""
        return not excluded(node, self.exclude)

    def fresh_name(self, wish: str) -> str:
        """Answer the wish, or with a number behind it what no value and no node has."""
        return self._names.fresh(wish)

    def new_constant(self, wish: str, array: npt.NDArray[Any]) -> ir.Value:
        """Add an initializer under a fresh name."""
        name = self.fresh_name(wish)
        if self._spill is not None:
            return registered(self.graph, self._spill.append(name, np.asarray(array)))
        return new_constant(self.graph, name, array)

    def new_node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        output: str,
        attributes: Mapping[str, Any] | None = None,
    ) -> ir.Node:
        """Make a node with one output, under fresh names. It is in no graph yet."""
        name = self.fresh_name(output)
        node = ir.node(op_type, inputs, attributes, name=self.fresh_name(f"{name}_{op_type}"))
        node.outputs[0].name = name
        return node

    def replace_node(self, old: ir.Node, nodes: Sequence[ir.Node]) -> None:
        """Put nodes in a node's place, in whichever graph: the first takes its name, the outputs of the last those of
        its outputs."""
        graph = graph_of(old)
        graph.insert_before(old, nodes)
        for before, after in zip(old.outputs, nodes[-1].outputs, strict=True):
            name, after.shape, after.type = before.name, before.shape, before.type
            ir.convenience.replace_all_uses_with(before, after, replace_graph_outputs=True)
            before.name, after.name = None, name  # a value that is no longer there must not hold the name
        graph.remove(old, safe=True)
        nodes[0].name = old.name
