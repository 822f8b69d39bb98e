"""Attention and embeddings that ONNX Runtime has fused, in ONNX's own operators.

    Attention(x, W, b, mask)       q, k, v = split(x W + b);  MultiHeadAttention(q, k, v)
    MultiHeadAttention(q, k, v)    softmax(s · q kᵀ + bias) v, for each head;  s = 1/√d where the node says none
    EmbedLayerNormalization        LayerNormalization(words[ids] + positions + segments[…])

Of a mask only [batch, keys] of zeros and ones is known here; what reads past keys, looks backwards alone, or gives
anything but its first output stays.
"""

import math
from typing import Final

import onnx_ir as ir

from worker.compression.ir.values import input_at, is_constant, required_input, tensor_of
from worker.compression.simplify.contrib_writing import Writing

HAS_LAYER_NORMALIZATION: Final = 17
AXES_ARE_INPUTS: Final = 13
MASKED: Final = -10000.0
"""What is added where the mask is 0, where the node says nothing."""
HEADS_IN_FRONT: Final = (0, 2, 1, 3)


def attention(writing: Writing, node: ir.Node) -> ir.Value | None:
    x, weight, bias, mask, past, added = (input_at(node, index) for index in range(6))
    known = is_constant(weight) and bias is not None and past is None and input_at(node, 6) is None
    if not known or "qkv_hidden_sizes" in node.attributes or writing.opset < AXES_ARE_INPUTS:
        return None
    width = int(tensor_of(weight).shape.numpy()[1]) // 3
    both = writing.add("Add", writing.add("MatMul", x, weight), bias)
    parts = writing.add_node("Split", both, writing.numbers([width] * 3), axis=2, outputs=3)
    if mask is not None:
        masked = _additive(writing, node, mask)
        if masked is None or added is not None:
            return None
        added = masked
    return _heads(writing, node, list(parts.outputs), width, added)


def multi_head_attention(writing: Writing, node: ir.Node) -> ir.Value | None:
    query, key, value, bias, mask, added = (input_at(node, index) for index in range(6))
    streams = [query, key, value]
    if any(each is None or each.shape is None or len(each.shape) != 3 for each in streams):
        return None
    if mask is not None or any(input_at(node, index) is not None for index in range(6, len(node.inputs))):
        return None
    width = required_input(node, 0).shape[2]  # type: ignore[index]
    if not isinstance(width, int) or writing.opset < AXES_ARE_INPUTS:
        return None
    if bias is not None:
        values = required_input(node, 2).shape[2]  # type: ignore[index]
        if not isinstance(values, int):
            return None
        sizes = writing.numbers([width, width, values])
        parts = writing.add_node("Split", bias, sizes, axis=0, outputs=3)
        streams = [
            writing.add("Add", stream, part) for stream, part in zip(streams, parts.outputs, strict=True)
        ]
    return _heads(writing, node, streams, width, added)


def _heads(
    writing: Writing,
    node: ir.Node,
    streams: "list[ir.Value | None] | list[ir.Value]",
    width: int,
    added: ir.Value | None,
) -> ir.Value | None:
    heads = node.attributes.get_int("num_heads", 0)
    if (
        not heads
        or width % heads
        or node.attributes.get_int("unidirectional", 0)
        or node.attributes.get_int("do_rotary", 0)
    ):
        return None
    split = writing.numbers([0, 0, heads, -1])
    query, key, value = (
        writing.add("Transpose", writing.add("Reshape", stream, split), perm=perm)
        for stream, perm in zip(streams, (HEADS_IN_FRONT, (0, 2, 3, 1), HEADS_IN_FRONT), strict=True)
    )
    scale = node.attributes.get_float("scale", 0.0) or 1 / math.sqrt(width // heads)
    scores = writing.add("Mul", writing.add("MatMul", query, key), writing.number(scale))
    if added is not None:
        scores = writing.add("Add", scores, added)
    mixed = writing.add("MatMul", writing.add("Softmax", scores, axis=-1), value)
    return writing.add(
        "Reshape", writing.add("Transpose", mixed, perm=HEADS_IN_FRONT), writing.numbers([0, 0, -1])
    )


def _additive(writing: Writing, node: ir.Node, mask: ir.Value) -> ir.Value | None:
    """[batch, 1, 1, keys]: 0 where the mask is 1."""
    if mask.shape is None or len(mask.shape) != 2:
        return None
    dtype = required_input(node, 0).dtype
    if dtype is None:
        return None
    wide = writing.add("Unsqueeze", writing.add("Cast", mask, to=dtype.value), writing.numbers([1, 2]))
    gone = writing.add("Sub", writing.number(1.0), wide)
    return writing.add("Mul", gone, writing.number(node.attributes.get_float("mask_filter_value", MASKED)))


def embed_layer_normalization(writing: Writing, node: ir.Node) -> ir.Value | None:
    ids, segments, words, positions, types, gamma, beta, _, places = (input_at(node, i) for i in range(9))
    if writing.opset < HAS_LAYER_NORMALIZATION or words is None or positions is None or ids is None:
        return None
    if places is None:  # 0, 1, … of each row
        length = writing.add("Shape", ids, start=1, end=2)
        placed = writing.add("Slice", positions, writing.numbers([0]), length, writing.numbers([0]))
    else:
        placed = writing.add("Gather", positions, places)
    total = writing.add("Add", writing.add("Gather", words, ids), placed)
    if segments is not None and types is not None:
        total = writing.add("Add", total, writing.add("Gather", types, segments))
    epsilon = node.attributes.get_float("epsilon", 1e-12)
    return writing.add("LayerNormalization", total, gamma, beta, axis=-1, epsilon=epsilon)
