"""A copy of a file whose nodes have names of their own: what a runtime has fused is recognised by them."""

from pathlib import Path

import onnx_ir as ir

from worker.compression.ir.values import all_nodes
from worker.compression.onnx_files import model_files


def named_copy(model: Path, folder: Path) -> tuple[ir.Model, Path]:
    """Write the copy into the folder; nothing but names of nodes differs, and what `model_files.load` resolves."""
    graph, path = model_files.load(model), folder / "named.onnx"
    for number, node in enumerate(all_nodes(graph)):
        node.name = f"winnow_node_{number}_"
    model_files.save(graph, path)
    return graph, path
