"""Changing a graph: which nodes a step may change, new names, constants and nodes, one node in place of another."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from worker.compression.ir.naming import Names, excluded
from worker.compression.ir.values import graph_of


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
    """Insert nodes behind the one that makes a value; for inputs and constants before all nodes, since subgraphs may
    read them too."""
    if (producer := value.producer()) is not None:
        graph.insert_after(producer, nodes)
    elif len(graph) > 0:
        graph.insert_before(graph[0], nodes)


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

    def __init__(self, model: ir.Model, exclude: Iterable[str] = ()) -> None:
        self.model, self.graph, self.exclude = model, model.graph, tuple(exclude)
        self._names = Names(model)

    def on_clone(self) -> "GraphEdit":
        """Edit a copy of the model by the same patterns."""
        return GraphEdit(self.model.clone(), self.exclude)

    def may_change(self, node: ir.Node) -> bool:
        """Whether no pattern excludes the node."""
        return not excluded(node, self.exclude)

    def fresh_name(self, wish: str) -> str:
        """Answer the wish, or with a number behind it what no value and no node has."""
        return self._names.fresh(wish)

    def new_constant(self, wish: str, array: npt.NDArray[Any]) -> ir.Value:
        """Add an initializer under a fresh name."""
        return new_constant(self.graph, self.fresh_name(wish), array)

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
        """Put nodes in a node's place: the first takes its name, the outputs of the last those of its outputs."""
        self.graph.insert_before(old, nodes)
        for before, after in zip(old.outputs, nodes[-1].outputs, strict=True):
            name, after.shape, after.type = before.name, before.shape, before.type
            ir.convenience.replace_all_uses_with(before, after, replace_graph_outputs=True)
            before.name, after.name = None, name  # a value that is no longer there must not hold the name
        self.graph.remove(old, safe=True)
        nodes[0].name = old.name
