"""Tell what a model's file consists of, and which channels a cut could take out of it: what forecasts rest on."""

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from winnow.contract.model import ModelFacts
from winnow.contract.stored_weights import (
    ActivationProduct,
    AxisChannels,
    ChannelGroup,
    EmbeddingWidth,
    Stored,
    StoredWeights,
)
from worker.compression.graph.channels.account import groups_of
from worker.compression.graph.channels.labelling import Labelling, label
from worker.compression.graph.channels.labels.ledger import Vector
from worker.compression.graph.channels.labels.node_view import Labelled
from worker.compression.graph.facts.parameters import count_of
from worker.compression.graph.nodes.formulas import node_macs
from worker.compression.graph.nodes.output_heads import output_heads
from worker.compression.graph.nodes.weights import dtype_name, layers
from worker.compression.graph.shapes.shapes import with_shapes
from worker.compression.ir.values import tensor_of
from worker.compression.onnx_files.single_file import written_bytes
from worker.compression.weight_storage.drop_defaults import UploadNames

MAX_NODES: Final = 3_000
"""A graph of so many has its channels followed in a second or two."""
MAX_LABELS: Final = 2_000_000
"""Indices along the axes of all constants, each of which gets a label."""
MAX_ENTRIES: Final = 10_000
"""Constants, and pairs of an axis and a group, that are kept: the facts are read at every submission."""

log = logging.getLogger(__name__)


class Channels:
    """The channel groups of a model whose shapes are inferred, and where their channels lie."""

    def __init__(self, model: ir.Model, places: dict[ir.Node, int]) -> None:
        self._labelling: Labelling = label(model)
        groups, roots = groups_of(self._labelling)
        by_name = {str(node.name): place for node, place in places.items()}
        self._group = np.full(self._labelling.run.ledger.count, -1, np.int64)
        for number, group in enumerate(groups.groups):
            self._group[[roots[channel] for channel in group.channels]] = number
        self.groups = [
            ChannelGroup(
                channels=len(group.channels),
                producers=[by_name[name] for name in group.producers if name in by_name],
                unit=group.unit,
                width=group.width,
            )
            for group in groups.groups
        ]

    def embedding_widths(self) -> list[EmbeddingWidth]:
        """The widths of residual streams, by what pins them."""
        reasons = self._labelling.run.ledger.reasons
        counts = Counter(self._labelling.stream_reasons.tolist())
        return [
            EmbeddingWidth(channels=channels, pinned=None if number < 0 else reasons[number])
            for number, channels in sorted(counts.items())
        ]

    def along(self, value: ir.Value | None) -> list[AxisChannels] | None:
        """Of each axis of a value, how many indices belong to which group; None where its axes are not known."""
        labelled: Labelled | None = None if value is None else self._labelling.values.get(value)
        return None if labelled is None else [self._along(vector) for vector in labelled.axes]

    def _along(self, labels: Vector | None) -> AxisChannels:
        if labels is None:
            return []
        groups = self._group[self._labelling.classes[labels]]
        counts = np.bincount(groups[groups >= 0])
        return [(int(group), int(counts[group])) for group in np.flatnonzero(counts)]


def with_stored(facts: ModelFacts, model: ir.Model, names: UploadNames) -> ModelFacts:
    """Add the channel groups of a tidied model in normal form, and what its file consists of, to its facts. `names`:
    those in the upload. None where there is too much to keep, or telling it fails: no model is refused for that."""
    try:
        return facts.model_copy(update=_stored(model, names))
    except MemoryError:
        raise
    except Exception:
        log.warning("what a model's file consists of could not be told", exc_info=True)
        return facts


def _stored(model: ir.Model, names: UploadNames) -> dict[str, Any]:
    is_large = _is_large(model)
    shaped = model if is_large else with_shapes(model)
    places = {node: place for place, (node, _) in enumerate(layers(shaped))}
    channels = None if is_large else Channels(shaped, places)
    weights = list(_weights(shaped, places, channels))
    products = [] if channels is None else list(_products(shaped, places, channels))
    along = [each.channels for each in weights] + [each.channels for each in products]
    if sum(1 + sum(len(axis) for axis in axes) for axes in along) > MAX_ENTRIES:
        return {}
    stored = Stored(file_bytes=written_bytes(model, names), weights=weights, products=products)
    return {
        "channel_groups": None if channels is None else channels.groups,
        "embedding_widths": None if channels is None else channels.embedding_widths(),
        "stored": stored,
    }


def _is_large(model: ir.Model) -> bool:
    constants = (v for graph in model.graphs() for v in graph.initializers.values())
    labels = sum(sum(tensor_of(value).shape.numpy()) for value in constants if value.const_value is not None)
    return sum(len(graph) for graph in model.graphs()) > MAX_NODES or labels > MAX_LABELS


def _weights(
    shaped: ir.Model, places: dict[ir.Node, int], channels: Channels | None
) -> Iterator[StoredWeights]:
    """Every constant, those that are alike and no layer's weight as one."""
    readers: dict[ir.Value, list[ir.Node]] = {}
    for node, weights in layers(shaped):
        for weight in weights:
            readers.setdefault(weight.value, []).append(node)
    alike: dict[str, StoredWeights] = {}
    heads = output_heads(shaped)
    for graph in shaped.graphs():
        for value in graph.initializers.values():
            if value.const_value is None:
                continue
            of_value = readers.get(value, [])
            nested = any(node.graph is not shaped.graph for node in of_value) or graph is not shaped.graph
            kind = _weight(value, of_value, places, channels, nested)
            if kind.readers:
                yield kind.model_copy(update={"head": not heads.isdisjoint(of_value)})
            else:
                key = kind.model_dump_json(exclude={"count"})
                count = alike[key].count if key in alike else 0
                alike[key] = kind.model_copy(update={"count": count + 1})
    yield from alike.values()


def _weight(
    value: ir.Value,
    readers: list[ir.Node],
    places: dict[ir.Node, int],
    channels: Channels | None,
    nested: bool,
) -> StoredWeights:
    tensor = tensor_of(value)
    shape = [int(dim) for dim in tensor.shape.numpy()]
    axes = {_outputs_axis(node, value) for node in readers}
    along = None if channels is None else channels.along(value)
    return StoredWeights(
        count=1,
        shape=shape,
        dtype=dtype_name(tensor.dtype),
        learnt=count_of(value) > 0,
        readers=[places[node] for node in readers],
        outputs_axis=axes.pop() if len(axes) == 1 and len(readers) == len(value.uses()) else None,
        groups=max((node.attributes.get_int("group", 1) for node in readers), default=1),
        nested=nested,
        channels=along or [[] for _ in shape],
    )


def _outputs_axis(node: ir.Node, weight: ir.Value) -> int | None:
    """Find the axis of a plain matrix that counts outputs, or the rows of a table."""
    ints = node.attributes.get_int
    rank = len(tensor_of(weight).shape)
    if node.op_type == "Gather":
        return 0 if rank == 2 and ints("axis", 0) == 0 else None
    data = node.inputs[0]
    if node.inputs[1] is not weight or data is None or data.const_value is not None:
        return None
    match node.op_type:
        case "Conv":
            return 0
        case "MatMul":
            return 1 if rank == 2 else None
        case "Gemm" if not ints("transA", 0):
            plain = all(node.attributes.get_float(name, 1.0) == 1.0 for name in ("alpha", "beta"))
            return (0 if ints("transB", 0) else 1) if plain else None
    return None


def _products(
    shaped: ir.Model, places: dict[ir.Node, int], channels: Channels
) -> Iterator[ActivationProduct]:
    """Matrix products without a weight: |output| · K."""
    for node in ir.traversal.RecursiveGraphIterator(shaped.graph):
        if node in places or not (macs := node_macs(node)):
            continue
        output, data = node.outputs[0], node.inputs[0]
        along, inner = channels.along(output), channels.along(data)
        if node.op_type != "MatMul" or data is None or along is None or not inner:
            continue
        sizes = [*_sizes(output), *_sizes(data)[-1:]]
        yield ActivationProduct(macs=macs, shape=sizes, channels=[*along, inner[-1]])


def _sizes(value: ir.Value) -> list[int]:
    """Of a value whose shape is known: its product has been counted."""
    return [] if value.shape is None else [int(dim) for dim in value.shape.numpy()]
