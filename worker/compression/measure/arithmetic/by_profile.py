"""What ONNX Runtime computes, from a profile of one run and the graph that it optimized: of each node the operator, the
types that it is given and makes, and its shapes.

A node is of integers where its operator multiplies or adds them (`QLinear…`, `MatMulInteger`, …), or where it is given
8-bit integers and makes no floats; one that only moves or converts numbers is neither. `MatMulNBits` is tried.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.values import all_nodes
from worker.compression.measure.arithmetic.kernels import INTEGER, OTHER, Kernel, TooLarge
from worker.compression.measure.arithmetic.nbits_products import computes_in_integers
from worker.compression.measure.arithmetic.work import macs_of
from worker.compression.runtime.node_times import KERNEL
from worker.compression.runtime.session import CPU, open_session

MAX_PROFILE_BYTES: Final = 32 << 20
"""As Python objects it takes ten times as many."""
FLOATS: Final = {"float": "float32", "float16": "float16", "bfloat16": "bfloat16", "double": "float64"}
"""As profiles call them."""
BYTES: Final = frozenset({"int8", "uint8", "int4", "uint4"})
OF_INTEGERS: Final = frozenset(
    {
        *("ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"),
        *("QGemm", "QAttention"),
    }
)  # fmt: skip
MOVES: Final = frozenset(
    {
        *("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Concat", "Split", "Slice", "Pad"),
        *("Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND", "Expand", "Tile", "Shape", "Size"),
        *("ConstantOfShape", "Constant", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "OneHot", "Where"),
        *("DynamicQuantizeLinear", "GatherBlockQuantized", "ReorderInput", "ReorderOutput", "SpaceToDepth"),
        *("DepthToSpace", "NhwcTranspose", "If", "Loop", "Scan", "Compress", "ReverseSequence", "EyeLike", "Range"),
        *("MemcpyFromHost", "MemcpyToHost", "Trilu", "NonZero"),
    }
)  # fmt: skip
"""Look up, move, convert or choose numbers, or run other nodes."""

Shapes = list[tuple[str, list[int]]]
"""Type and shape of each tensor, those that are left out or were packed when the model was loaded missing."""


@dataclass(frozen=True)
class Run:
    """One node, run once."""

    name: str
    op: str
    provider: str
    read: Shapes
    made: Shapes


def kernels_of_onnxruntime(
    model: Path, folder: Path, feed: Mapping[str, np.ndarray], threads: int, providers: Sequence[str]
) -> list[Kernel]:
    """Load a `named_copy` as it is measured, run it once, and tell its nodes apart. Raises `TooLarge`, and
    what ONNX Runtime raises."""
    optimized = folder / "optimized.onnx"
    session = open_session(model, threads, providers, folder / "profile", optimized)
    session.run(None, feed)
    profile = Path(session.end_profiling())
    if profile.stat().st_size > MAX_PROFILE_BYTES:
        raise TooLarge(
            "What a graph is computed in is not looked at where a run has so many nodes, in loops perhaps."
        )
    runs = list(_runs(profile))
    graph = ir.load(optimized)
    for value in graph.graph.inputs:
        value.shape = ir.Shape(feed[str(value.name)].shape)
    nodes = {str(node.name): node for node in all_nodes(graph) if node.name}
    kernels: dict[str, Kernel] = {}
    for run in runs:
        kernel = _kernel(run, nodes.get(run.name))
        before = kernels.get(run.name)
        kernels[run.name] = kernel if before is None else _together(before, kernel)
    return [*kernels.values()]


def _together(before: Kernel, again: Kernel) -> Kernel:
    """A node of a body that runs more than once."""
    macs = None if before.macs is None or again.macs is None else before.macs + again.macs
    return Kernel(before.op, before.precision, macs)


def _runs(profile: Path) -> Iterator[Run]:
    for event in json.loads(profile.read_text()):
        if event.get("cat") != "Node" or not event["name"].endswith(KERNEL):
            continue
        told = event["args"]
        yield Run(
            event["name"].removesuffix(KERNEL),
            told["op_name"],
            told.get("provider", CPU),
            _shapes(told.get("input_type_shape", [])),
            _shapes(told.get("output_type_shape", [])),
        )


def _shapes(tensors: list[dict[str, Any]]) -> Shapes:
    return [(kind, shape) for tensor in tensors for kind, shape in tensor.items()]


def _kernel(run: Run, node: ir.Node | None) -> Kernel:
    if node is None:  # named by ONNX Runtime itself: what it inserts multiplies nothing
        return Kernel(run.op, _precision(run, None))
    if len(run.made) == len(node.outputs):
        for value, (_, shape) in zip(node.outputs, run.made, strict=True):
            value.shape = ir.Shape(shape)
    if len(run.read) == len(node.inputs):
        for read, (_, shape) in zip(node.inputs, run.read, strict=True):
            if read is not None and not read.is_initializer():
                read.shape = ir.Shape(shape)
    return Kernel(run.op, _precision(run, node), macs_of(node))


def _precision(run: Run, node: ir.Node | None) -> str:
    if run.op in MOVES:
        return OTHER
    if run.op.startswith("QLinear") or run.op in OF_INTEGERS or _rounds_its_data(run, node):
        return INTEGER
    made, read = ([kind for kind, _ in shapes[:1]] for shapes in (run.made, run.read))
    for kind in (*made, *read):
        if kind in FLOATS:
            return FLOATS[kind]
    return INTEGER if {*made, *read} & BYTES else OTHER


def _rounds_its_data(run: Run, node: ir.Node | None) -> bool:
    if run.op != "MatMulNBits" or node is None or run.provider != CPU:
        return False
    numbers = node.attributes
    level = numbers.get_int("accuracy_level", 0)
    zeros = len(node.inputs) > 3 and node.inputs[3] is not None
    return computes_in_integers(numbers.get_int("bits", 4), numbers.get_int("block_size", 32), level, zeros)
