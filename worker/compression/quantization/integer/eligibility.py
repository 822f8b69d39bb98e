"""Decides what int8_static quantizes in a graph, and says why not the rest.

    weighted   Conv, Gemm, MatMul with a float32 weight: what integer kernels speed up
    joining    Add, Concat, … between quantized nodes: quantized too, so that values stay 8-bit on the way
    carrying   MaxPool, Reshape, …: move values and add none but zeros, so input and output share one scale; as do a
               Concat's output and those inputs that nothing else reads, and joining them is copying
    clipping   Relu, Clip: the range of the 8-bit output does their work, ONNX Runtime drops them

Joining, carrying and clipping nodes are kept only where they connect quantized nodes.
"""

from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.operator_sets import MATMULS, MATMULS_AND_CONV
from worker.compression.ir.values import adds_values, input_at, is_read_once, required_input
from worker.compression.runtime.inner_values import observable_inside
from worker.compression.steps.decisions import LayerDecision, changed_nodes
from worker.compression.steps.eligibility import why_ineligible

WANTED = "Conv, Gemm or MatMul with a float32 weight, or an embedding table"
"""What `int8_static` and `int8` look for, as a refusal says it."""
INSIDE: Final = "its values, in a branch or the body of a loop, cannot be observed"
FLOAT_ONLY = frozenset({"ConvTranspose", "LSTM", "GRU", "RNN"})
"""Have weights, but no integer kernel that reads Q/DQ pairs: counted, never changed."""
JOINING = frozenset({"Add", "Concat", "Mul", "Sigmoid", "LeakyRelu", "GlobalAveragePool", "AveragePool"})
CARRYING = frozenset({"MaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Pad"})
CLIPPING = frozenset({"Relu", "Clip"})


def carries(node: ir.Node) -> bool:
    """Whether what it gives lies in the range of what it reads: it only moves values, and pads with nothing but 0."""
    return node.op_type in CARRYING and not adds_values(node)


@dataclass(frozen=True)
class Selection:
    """`values` are the activations that get a Q/DQ pair, in graph order."""

    layers: list[LayerDecision]
    nodes: frozenset[ir.Node]
    values: list[ir.Value]

    @property
    def weighted(self) -> list[ir.Node]:
        return changed_nodes(self.layers)

    def source(self, value: ir.Value) -> ir.Value:
        """Find the value whose scale this one uses.

        Through carrying nodes: up to where it was computed, and down to where it is joined with others."""
        producer = value.producer()
        while producer in self.nodes and producer is not None and carries(producer):
            value = required_input(producer, 0)
            producer = value.producer()
        joined = self._joined(value)
        return value if joined is None else self.source(joined)

    def _joined(self, value: ir.Value) -> ir.Value | None:
        """Find the output of the Concat that alone reads the value, maybe behind carrying nodes."""
        while len(uses := value.uses()) == 1 and not value.is_graph_output():
            ((reader, index),) = ((use.node, use.idx) for use in uses)
            moved = carries(reader) and index == 0
            if reader not in self.nodes or not (moved or reader.op_type == "Concat"):
                return None
            value = reader.outputs[0]
            if reader.op_type == "Concat":
                return None if _clipped(value, self.nodes) else value
        return None


def select(edit: GraphEdit, float_reasons: Mapping[str, str] | None = None) -> Selection:
    """Choose what is quantized. `float_reasons`: why the node of that name stays float, besides the excluded ones."""
    float_reasons = float_reasons or {}
    inner = observable_inside(edit.model)
    layers = [
        LayerDecision(node, _why_ineligible(edit, node, inner) or float_reasons.get(str(node.name)))
        for node in edit.nodes()
        if node.domain in ("", "ai.onnx") and node.op_type in MATMULS_AND_CONV | FLOAT_ONLY
    ]
    weighted = {layer.node for layer in layers if layer.reason is None}
    nodes = _connected(edit, weighted, inner, float_reasons.keys())
    return Selection(layers, frozenset(nodes), list(_values(edit, nodes)))


def weight_axis(node: ir.Node) -> int | None:
    """Find the output-channel axis of the weight; None when there is no weight of the right form."""
    weight = input_at(node, 1)
    if weight is None or weight.const_value is None or weight.const_value.dtype != ir.DataType.FLOAT:
        return None
    rank = len(weight.const_value.shape)
    match node.op_type:
        case "Conv":
            return 0
        case "Gemm":
            return 0 if node.attributes.get_int("transB", 0) else 1
        case "MatMul" if rank == 2:
            return 1
    return None


def _is_observed(edit: GraphEdit, node: ir.Node, inner: Set[ir.Value]) -> bool:
    """Whether all that it reads and gives can be observed."""
    if node.graph is edit.graph:
        return True
    data = [value for value in node.inputs if value is not None and value.const_value is None]
    return all(value in inner or value.graph is edit.graph for value in (*data, *node.outputs))


def _why_ineligible(edit: GraphEdit, node: ir.Node, inner: Set[ir.Value]) -> str | None:
    lacks_kernel = (
        f"{node.op_type} has no integer kernel for Q/DQ pairs" if node.op_type in FLOAT_ONLY else None
    )
    inside = None if _is_observed(edit, node, inner) else INSIDE
    return why_ineligible(
        node,
        node.inputs[1:2],
        edit.exclude,
        operator=lacks_kernel or inside,
        rule=lambda: _why_no_kernel(node),
    )


def _why_no_kernel(node: ir.Node) -> str | None:
    if weight_axis(node) is None:
        return "its weight is not a matrix"
    data = node.inputs[0]
    if data is None or data.const_value is not None:
        return "its input is a constant"
    if node.op_type == "Gemm" and not is_plain_gemm(node):
        return "transA, alpha or beta differ from their defaults"
    bias = input_at(node, 2)
    if bias is None:
        return None
    channels = node.inputs[1].shape[weight_axis(node)]  # type: ignore[union-attr,index]
    stored = bias.const_value
    if stored is None or stored.size != channels or stored.shape.numpy()[-1:] not in ((), (channels,)):
        return "its bias is not one constant per channel"
    return None


def is_plain_gemm(node: ir.Node) -> bool:
    """Whether it neither scales nor transposes what it multiplies."""
    defaults = {"transA": 0.0, "alpha": 1.0, "beta": 1.0}
    return all(float(node.attributes[k].value) == v for k, v in defaults.items() if k in node.attributes)


def _connected(
    edit: GraphEdit, weighted: set[ir.Node], inner: Set[ir.Value], floats: Collection[str]
) -> set[ir.Node]:
    """Collect the weighted nodes and all between them but `floats`: drop what hangs loose until nothing does."""
    between = {
        node
        for node in edit.nodes()
        if node.domain in ("", "ai.onnx")
        and _is_observed(edit, node, inner)
        and (node.op_type in JOINING | CLIPPING or carries(node))
        and edit.may_change(node)
        and node.name not in floats
    }
    while True:
        nodes = weighted | between
        loose = {node for node in between if not _connects(node, nodes)}
        if not loose:
            return nodes
        between -= loose


def _connects(node: ir.Node, nodes: set[ir.Node]) -> bool:
    """Whether quantized nodes feed it and read it. A product of a float is left to fusions such as Gelu.

    What clips costs nothing behind a layer, whoever reads it.
    """
    inputs = [v for v in node.inputs if v is not None and v.const_value is None]
    fed = [v.producer() in nodes for v in inputs]
    if node.op_type in CLIPPING and not is_read_once(inputs[0]):
        return False
    if node.op_type in CLIPPING and fed[0] and inputs[0].producer().op_type in ("Conv", "Add"):  # type: ignore[union-attr]
        return True
    if node.op_type in JOINING and len(inputs) < sum(v is not None for v in node.inputs):
        return False
    enough = all(fed) if node.op_type == "Mul" else any(fed)
    return enough and any(use.node in nodes for use in node.outputs[0].uses())


def _values(edit: GraphEdit, nodes: set[ir.Node]) -> Iterator[ir.Value]:
    seen: set[ir.Value] = set()
    for node in edit.nodes():
        if node not in nodes:
            continue
        for value in (*_data_inputs(node), *_data_outputs(node, nodes)):
            if value not in seen and not _clipped(value, nodes):
                seen.add(value)
                yield value


def _data_inputs(node: ir.Node) -> Iterator[ir.Value]:
    """Yield the activations among the inputs: not weights, not the shapes and bounds that come after the first."""
    values = node.inputs if node.op_type in JOINING else node.inputs[:1]
    yield from (v for v in values if v is not None and v.const_value is None)


def _data_outputs(node: ir.Node, nodes: set[ir.Node]) -> Iterator[ir.Value]:
    """Yield the output where it has to be 8 bits: everywhere but behind a product that nothing quantized reads.

    And of a MatMul before an Add where ONNX Runtime would first make a Gemm of the two, which it then cannot quantize:
    on matrices, and on whatever it can reshape into one because all sizes are known.
    """
    value = node.outputs[0]
    readers = [use.node for use in value.uses()]
    added = (
        node.op_type == "MatMul"
        and any(reader.op_type == "Add" for reader in readers)
        and _like_a_matrix(required_input(node, 0))
    )
    if node.op_type in MATMULS and not added and not any(reader in nodes for reader in readers):
        return
    yield value


def _like_a_matrix(value: ir.Value) -> bool:
    shape = value.shape
    return shape is None or len(shape) == 2 or shape.is_static()


def _clipped(value: ir.Value, nodes: Set[ir.Node]) -> bool:
    """Whether a Relu reads the value: nothing is quantized between, so that the two become one."""
    return any(use.node in nodes and use.node.op_type in CLIPPING for use in value.uses())
