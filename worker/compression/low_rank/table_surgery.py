"""Puts the parts of a table into the graph, for all that reads it.

    y = Gather(E, ids)            →   y = MatMul(Gather(A, ids), B)
    z = MatMul(h, Transpose(E))   →   z = MatMul(MatMul(h, Bᵀ), Transpose(A))
    z = Gemm(h, E, c, transB)     →   z = Gemm(MatMul(h, Bᵀ), A, c, transB)

Nodes keep their names and outputs: what was a Gather becomes the product, as the last part of a layer does.
"""

import numpy as np
import onnx_ir as ir

from worker.compression.graph.tables.find import Table, transposed
from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import new_constant
from worker.compression.ir.naming import Names
from worker.compression.ir.values import graph_of, required_input
from worker.compression.low_rank.graph_surgery import insert_before


def factorise_table(table: Table, parts: list[Array], names: Names) -> None:
    """Replace the table by A [rows, r] and B [r, width], in place."""
    graph, old = graph_of(table.gathers[0]), table.weight
    rows, basis = (np.ascontiguousarray(part, np.float32) for part in parts)
    first = new_constant(graph, names.fresh(f"{old.name}_in"), rows)
    last = new_constant(graph, names.fresh(f"{old.name}_out"), basis)
    for node in table.gathers:
        _look_up(node, first, last, names)
    if table.products:
        turned = new_constant(graph, names.fresh(f"{old.name}_turned"), np.ascontiguousarray(basis.T))
        for node in table.products:
            insert_before(node, "MatMul", [node.inputs[0], turned], {}, "in", names)
    for use in list(old.uses()):
        use.node.replace_input_with(use.idx, first)
        if use.node in map(transposed, table.products):
            use.node.outputs[0].shape = None
    graph.initializers.pop(str(old.name))


def _look_up(gather: ir.Node, first: ir.Value, last: ir.Value, names: Names) -> None:
    name, output = str(gather.name), gather.outputs[0]
    inner = ir.Value(name=names.fresh(f"{name}_in_output"), type=ir.TensorType(ir.DataType.FLOAT))
    rows = ir.Node(
        "",
        "Gather",
        [first, required_input(gather, 1)],
        [ir.AttrInt64("axis", 0)],
        outputs=[inner],
        name=names.fresh(f"{name}_in"),
    )
    wide = ir.Value(name=output.name, type=output.type, shape=output.shape)
    product = ir.Node("", "MatMul", [inner, last], outputs=[wide], name=name)
    graph = graph_of(gather)
    graph.insert_before(gather, [rows, product])
    ir.convenience.replace_all_uses_with(output, wide, replace_graph_outputs=True)
    output.name = None
    graph.remove(gather, safe=True)
