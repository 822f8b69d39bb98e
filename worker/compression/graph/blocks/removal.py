"""Take a block out: its entry is read where its exit was."""

from collections.abc import Iterable

import onnx_ir as ir
from onnx_ir.passes import common as passes

from worker.compression.graph.blocks.find import Block
from worker.compression.graph.normal_form.tracing import trace
from worker.compression.ir.edit import GraphEdit


def without_blocks(model: ir.Model, blocks: Iterable[Block]) -> ir.Model:
    """Make a copy without these blocks; weights are shared with the model given. Names of inputs and outputs stay."""
    copy = model.clone()
    edit, values = GraphEdit(copy), _values(copy.graph)
    exits = {block.exit: block for block in blocks}
    last_first = [
        exits[name] for name in reversed(values) if name in exits
    ]  # an entry may be an exit that goes too
    for block in last_first:
        _bypass(edit, values[block.entry], values[block.exit])
    passes.RemoveUnusedNodesPass()(copy)
    trace(copy)
    return copy


def _bypass(edit: GraphEdit, entry: ir.Value, exit_: ir.Value) -> None:
    if exit_.is_graph_output():
        node, producer = edit.new_node("Identity", [entry], f"{exit_.name}_passed"), exit_.producer()
        assert producer is not None
        edit.replace_node(producer, [node])
        return
    ir.convenience.replace_all_uses_with(exit_, entry)


def _values(graph: ir.Graph) -> dict[str, ir.Value]:
    made = (value for node in graph for value in node.outputs)
    return {str(value.name): value for value in (*graph.inputs, *made)}
