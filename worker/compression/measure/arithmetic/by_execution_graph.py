"""What OpenVINO computes, from the execution graph of the compiled model: of each node its kind, the precision that it
runs in, and the names of the nodes of the file that were fused into it.

A product of the file whose name is nowhere there (its bias, scale or softmax gave the fused node its name) is computed
where what reads it is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import onnx_ir as ir

from winnow.contract.target import Target
from worker.compression.graph.shapes.shapes import with_shapes
from worker.compression.ir.values import all_nodes
from worker.compression.measure.arithmetic.kernels import INTEGER, OTHER, Kernel
from worker.compression.measure.arithmetic.work import macs_of

FLOATS: Final = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "f64": "float64"}
BYTES: Final = frozenset({"u8", "i8", "u4", "i4", "u2", "i2", "u1"})
NO_NODES: Final = frozenset({"Input", "Output", "Const"})
MULTIPLY: Final = frozenset(
    {
        *("Convolution", "Deconvolution", "FullyConnected", "MatMul", "Subgraph"),
        *("ScaledDotProductAttention", "BinaryConvolution", "LLMMLP", "QKVProjection"),
    }
)  # fmt: skip
"""Kinds of nodes that products can be in; a `Subgraph` is a whole attention, or element-wise functions."""
RECURRENT: Final = frozenset({"RNNSeq", "RNNCell"})
MOVE: Final = frozenset(
    {
        *("Reorder", "Reshape", "Transpose", "Convert", "FakeQuantize", "Concatenation", "Split", "StridedSlice"),
        *("Gather", "GatherElements", "GatherND", "ShapeOf", "Broadcast", "Tile", "Pad", "ScatterUpdate", "Select"),
        *("ScatterElementsUpdate", "ScatterNDUpdate", "DepthToSpace", "SpaceToDepth", "Range", "NonZero", "OneHot"),
        *("If", "TensorIterator", "MemoryInput", "MemoryOutput", "ShuffleChannels", "SpaceToBatch", "BatchToSpace"),
        *("ReverseSequence", "Unique"),
    }
)  # fmt: skip
OWN_NAME: Final = re.compile(r"winnow_node_\d+_")
"""That of a `named_copy`, whatever OpenVINO has put behind it."""


@dataclass(frozen=True)
class Executed:
    """`names`: of the nodes of the file that are in it, or of what the last of them makes."""

    kind: str
    precision: str
    names: frozenset[str]


def kernels_of_openvino(
    model: Path, graph: ir.Model, shapes: dict[str, list[int]], threads: int, target: Target
) -> list[Kernel]:
    """Compile a `named_copy`, of which this is the graph, as it is measured, and tell its nodes apart; multiply-
    accumulates are those of these input shapes. Raises what OpenVINO raises."""
    from worker.compression.runtime.on_openvino import OpenvinoModel

    compiled = OpenvinoModel(model, threads, target).compiled
    return kernels([*_executed(compiled.get_runtime_model())], with_shapes(graph, shapes))


def kernels(executed: list[Executed], shaped: ir.Model) -> list[Kernel]:
    """Give each product of the graph to the node that computes it."""
    made = [Kernel(node.kind, _precision(node)) for node in executed]
    place = _Places(executed)
    for node in all_nodes(shaped):
        macs = macs_of(node)
        if macs == 0:
            continue
        at = place.of(node)
        if at is None:
            return [*made, Kernel(node.op_type, OTHER, None)]
        before = made[at].macs
        made[at] = replace(made[at], macs=None if macs is None or before is None else before + macs)
    return made


class _Places:
    """Which executed node computes a node of the file."""

    def __init__(self, executed: list[Executed]) -> None:
        self._named: dict[str | None, int] = {
            name: n for n, node in enumerate(executed) for name in node.names if node.kind in MULTIPLY
        }
        self._recurrent = [n for n, node in enumerate(executed) if node.kind in RECURRENT]
        self._precisions = {executed[n].precision for n in self._recurrent}

    def of(self, node: ir.Node) -> int | None:
        """The one of its name, or of the name of the nearest that read it, no other product in between; of recurrent
        layers, whose names are lost, one of them, where all are of one precision. None where nothing tells it."""
        if node.op_type in ("LSTM", "GRU", "RNN"):
            return self._recurrent[0] if len(self._precisions) == 1 else None
        waiting, seen = [node], {node}
        while waiting:
            now = waiting.pop(0)
            for name in (now.name, *(value.name for value in now.outputs)):
                if name in self._named:
                    return self._named[name]
            readers = [use.node for value in now.outputs for use in value.uses() if use.node not in seen]
            waiting += [reader for reader in readers if macs_of(reader) == 0]
            seen.update(readers)
        return None


def _executed(runtime: Any) -> Iterator[Executed]:
    for node in runtime.get_ordered_ops():
        told = node.get_rt_info()
        kind, names = told["layerType"].astype(str), told["originalLayersNames"].astype(str)
        if kind not in NO_NODES:
            precision = told["runtimePrecision"].astype(str)
            yield Executed(kind, precision, frozenset({*OWN_NAME.findall(names), *names.split(",")}))


def _precision(node: Executed) -> str:
    if node.kind in MOVE:
        return OTHER
    return FLOATS.get(node.precision, INTEGER if node.precision in BYTES else OTHER)
