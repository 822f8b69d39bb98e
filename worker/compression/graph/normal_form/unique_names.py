"""Names that nothing else in the model has, so that a name alone says which layer or weight is meant."""

from collections.abc import Iterator

import onnx_ir as ir

from worker.compression.ir.naming import FreshNames


class NameOnce(ir.passes.InPlacePass):
    """Every node and every value has a name of its own, in subgraphs too: sibling branches may use the same names, and
    files repeat those of nodes. Whatever comes later gets a number; a node without a name is called after its operator.

    Inputs and outputs of the model keep theirs, unless the file repeats those.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        nodes, values = FreshNames(), FreshNames()
        renamed = False
        for value in dict.fromkeys(_values(model)):
            renamed |= value.name != (name := values.fresh(value.name or "v"))
            value.name = name
        for node in ir.traversal.RecursiveGraphIterator(model.graph):
            renamed |= node.name != (name := nodes.fresh(node.name or node.op_type))
            node.name = name
        return ir.passes.PassResult(model, modified=renamed)


def _values(model: ir.Model) -> Iterator[ir.Value]:
    """Those of the signature first, then graph by graph; what an If has no use for is called nothing and stays so."""
    yield from (*model.graph.inputs, *model.graph.outputs)
    for graph in model.graphs():
        yield from (*graph.inputs, *graph.initializers.values())
        for node in graph:
            yield from (value for value in node.outputs if value.name or value.uses())
