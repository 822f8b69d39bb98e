"""Where channels are behind operators that only move values, and what is known of shapes."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.values import required_input
from worker.compression.quantization.preparation.scale_groups.labels import Labelled, Labels


def sizes_of(value: ir.Value | None) -> tuple[int | None, ...] | None:
    """The shape of a value, None for sizes that are not fixed; None where not even the rank is known."""
    if value is None or value.shape is None:
        return None
    return tuple(size if isinstance(size, int) else None for size in value.shape)


def rank_of(value: ir.Value | None) -> int | None:
    sizes = sizes_of(value)
    return None if sizes is None else len(sizes)


def split(labels: Labels, node: ir.Node) -> None:
    value, rank = required_input(node, 0), rank_of(node.inputs[0])
    labelled = labels.of.get(value)
    if labelled is None or rank is None:
        return
    along = node.attributes.get_int("axis", 0)
    if (along - rank if along >= 0 else along) != labelled.axis:
        for given in node.outputs:
            labels.of[given] = labelled
        return
    sizes = [shape[labelled.axis] for shape in map(sizes_of, node.outputs) if shape is not None]
    if (
        len(sizes) < len(node.outputs)
        or None in sizes
        or sum(map(int, filter(None, sizes))) != len(labelled.labels)
    ):
        labels.pin(value)
        return
    start = 0
    for given, size in zip(node.outputs, sizes, strict=True):
        assert size is not None
        labels.of[given] = Labelled(labelled.labels[start : start + size], labelled.axis)
        start += size


def transpose(labels: Labels, node: ir.Node) -> None:
    value, rank = required_input(node, 0), rank_of(node.inputs[0])
    labelled = labels.of.get(value)
    if labelled is None:
        return
    if rank is None:
        labels.pin(value)
        return
    perm = node.attributes["perm"].as_ints() if "perm" in node.attributes else range(rank)[::-1]
    labels.of[node.outputs[0]] = Labelled(labelled.labels, list(perm).index(labelled.axis + rank) - rank)


def reshape(labels: Labels, node: ir.Node) -> None:
    value, given = required_input(node, 0), node.outputs[0]
    labelled = labels.of.get(value)
    if labelled is None:
        return
    spread = _spread(labelled, sizes_of(value), sizes_of(given))
    if spread is None:
        labels.pin(value)
    else:
        labels.of[given] = spread


def _spread(
    labelled: Labelled, before: Sequence[int | None] | None, after: Sequence[int | None] | None
) -> Labelled | None:
    """Labels behind a change of shape: the last axis stays, or [N, …] becomes [N, k] or the other way round by ones."""
    if before is None or after is None or not after:
        return None
    count = len(labelled.labels)
    if labelled.axis == -1 and after[-1] == count:
        return labelled
    inner = before[labelled.axis + 1 :] if labelled.axis != -1 else ()
    if len(after) == 2 and labelled.axis == 1 - len(before) and None not in inner:
        spread: Array = np.repeat(labelled.labels, int(np.prod([int(size or 1) for size in inner])))
        return Labelled(spread, -1) if after[-1] == len(spread) else None
    ones = len(after) > 2 and after[1] == count and all(size == 1 for size in after[2:])
    if ones and len(before) == 2 and labelled.axis == -1:
        return Labelled(labelled.labels, 1 - len(after))
    return None
