"""Channel groups: which slices of which weights can be cut, only together, and why the rest cannot.

A channel is one class of the label run; channels are one group if they are slices of the same axes of the same
initializers. Inside a group any may go, as long as one stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from worker.compression.graph.channels.labelling import Labelling
from worker.compression.graph.channels.labels.heads import queries_by_class
from worker.compression.graph.channels.labels.ledger import Vector, joined

Role = Literal["output", "input", "other"]
Unit = Literal["channel", "head", "head_width", "embedding"]
"""What one channel of a group is: a whole attention head, one of the width of all heads of a layer, one of the width of
the residual stream; or a plain channel, as the inner width of a feed-forward part."""


@dataclass(frozen=True)
class Part:
    """`indices` along `axis` of one initializer, which go together with the rest of a channel.

    `output`: filters of a weight that makes the channel; `input`: slices of a weight that reads it; `other`: biases,
    parameters of normalisations, scales and zero points, constants.
    """

    initializer: str
    axis: int
    indices: tuple[int, ...]
    role: Role


@dataclass(frozen=True)
class Channel:
    """One class of the label run: slices that can only be cut together."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Group:
    """Channels that are alike: slices of the same axes of the same initializers (coupled layers).

    `producers` and `consumers` are the nodes whose weight's output or input axis they are; the channels are in the
    order of the first producer's output axis. Where queries share keys and values, a head is `queries` of them.
    """

    name: str
    channels: tuple[Channel, ...]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    unit: Unit = "channel"
    queries: int = 1

    @property
    def width(self) -> int:
        """How many values a head passes on to the projection behind it; 1 for other channels."""
        read = (len(part.indices) for part in self.channels[0].parts if part.role == "input")
        return max(read, default=1) if self.unit == "head" else 1


@dataclass(frozen=True)
class Pinned:
    """Why the channels a node produces cannot be cut."""

    node: str
    channels: int
    reason: str
    unit: Unit = "channel"


@dataclass(frozen=True)
class Groups:
    """All that can be cut together, and what cannot, each with its reason."""

    groups: tuple[Group, ...]
    pinned: tuple[Pinned, ...]


def groups_of(labelling: Labelling) -> tuple[Groups, dict[Channel, int]]:
    """Return the channel groups of a labelled model, and the class of each channel."""
    channels = list(_channels(labelling))
    groups = Groups(tuple(_groups(labelling, channels)), tuple(_pinned(labelling)))
    return groups, {channel: root for root, channel in channels}


def describe(groups: Groups) -> list[dict[str, Any]]:
    """Return the groups readably, for a report: what each group couples, then what cannot be cut and why (`pinned`)."""
    free = [
        _row(g.name, len(g.channels), g.producers, g.consumers, None, g.unit, g.queries, g.width)
        for g in groups.groups
    ]
    return free + [_row(p.node, p.channels, (p.node,), (), p.reason, p.unit) for p in groups.pinned]


def _row(
    name: str,
    channels: int,
    producers: tuple[str, ...],
    consumers: tuple[str, ...],
    pinned: str | None,
    unit: Unit = "channel",
    queries: int = 1,
    width: int = 1,
) -> dict[str, Any]:
    return {
        "name": name,
        "unit": unit,
        "queries": queries,
        "width": width,
        "channels": channels,
        "producers": list(producers),
        "consumers": list(consumers),
        "pinned": pinned,
    }


def _groups(labelling: Labelling, channels: list[tuple[int, Channel]]) -> Iterator[Group]:
    producers, consumers = (
        _layers(labelling, labelling.run.producers),
        _layers(labelling, labelling.run.consumers),
    )
    queries, unit_of = dict(queries_by_class(labelling.run, labelling.classes)), _units(labelling)
    alike: dict[tuple[Any, ...], list[tuple[int, Channel]]] = {}
    for root, channel in channels:
        unit = unit_of.get(root, "channel")
        parts = ((part.initializer, part.axis, len(part.indices), part.role) for part in channel.parts)
        alike.setdefault((unit, *parts), []).append((root, channel))
    names: dict[str, int] = {}
    for (unit, *_), members in alike.items():
        root = members[0][0]
        name = producers[root][0]
        names[name] = names.get(name, 0) + 1
        yield Group(
            name=name if names[name] == 1 else f"{name} ({names[name]})",
            channels=tuple(channel for _, channel in members),
            producers=producers[root],
            consumers=consumers.get(root, ()),
            unit=unit,
            queries=queries.get(root, 1),
        )


def _units(labelling: Labelling) -> dict[int, Unit]:
    """What the classes are that are no plain channels."""
    favoured = labelling.classes[sorted(labelling.run.favoured)]
    heads = labelling.classes[joined([each.labels for each in labelling.run.heads])]
    return {
        **dict.fromkeys(labelling.stream.tolist(), "embedding"),
        **dict.fromkeys(favoured.tolist(), "head_width"),
        **dict.fromkeys(heads.tolist(), "head"),
    }


def _layers(labelling: Labelling, noted: list[tuple[ir.Node, Vector]]) -> dict[int, tuple[str, ...]]:
    """For each class that can be cut the nodes that have noted it, in the order of the graph."""
    free = set(labelling.free().tolist())
    layers: dict[int, dict[str, None]] = {}
    for node, labels in noted:
        for root in np.unique(labelling.classes[labels]).tolist():
            if root in free:
                layers.setdefault(root, {})[str(node.name)] = None
    return {root: tuple(names) for root, names in layers.items()}


def _channels(labelling: Labelling) -> Iterator[tuple[int, Channel]]:
    """Classes that can be cut and their parts, in the order in which layers make them."""
    free = labelling.free()
    made = labelling.classes[joined([labels for _, labels in labelling.run.producers])]
    firsts, places = np.unique(made, return_index=True)
    order = places[np.searchsorted(firsts, free)]
    parts: dict[int, list[Part]] = {}
    for root, part in _parts(labelling, free):
        parts.setdefault(root, []).append(part)
    for root in free[np.argsort(order)].tolist():
        yield root, Channel(tuple(parts[root]))


def _parts(labelling: Labelling, free: Vector) -> Iterator[tuple[int, Part]]:
    roles = _roles(labelling)
    is_free = np.zeros(labelling.run.ledger.count, bool)
    is_free[free] = True
    for name, axis, labels in _initializer_axes(labelling):
        roots = labelling.classes[labels]
        places = np.flatnonzero(is_free[roots])
        places = places[np.argsort(roots[places], kind="stable")]
        ends = [0, *(np.flatnonzero(np.diff(roots[places])) + 1).tolist(), len(places)]
        for start, end in pairwise(ends) if len(places) else ():
            indices = places[start:end]
            role = roles[labels[indices[0]]]
            yield int(roots[indices[0]]), Part(name, axis, tuple(indices.tolist()), ROLES[role])


ROLES: tuple[Role, ...] = ("other", "input", "output")


def _roles(labelling: Labelling) -> Vector:
    roles = np.zeros(labelling.run.ledger.count, np.int64)
    roles[joined([labels for _, labels in labelling.run.consumers])] = ROLES.index("input")
    roles[joined([labels for _, labels in labelling.run.producers])] = ROLES.index("output")
    return roles


def _initializer_axes(labelling: Labelling) -> Iterator[tuple[str, int, Vector]]:
    """Every axis of an initializer that has labels."""
    for value, labelled in labelling.values.items():
        if value.is_initializer():
            for axis, vector in enumerate(labelled.axes):
                if vector is not None:
                    yield str(value.name), axis, vector


def _pinned(labelling: Labelling) -> Iterator[Pinned]:
    """One entry for each node and reason."""
    reasons, unit_of = labelling.run.ledger.reasons, _units(labelling)
    counts: dict[tuple[str, str, Unit], int] = {}
    for node, labels in labelling.run.producers:
        classes = labelling.classes[labels].tolist()
        for root, number in zip(classes, labelling.reasons[labels].tolist(), strict=True):
            if number >= 0:
                key = str(node.name), reasons[number], unit_of.get(root, "channel")
                counts[key] = counts.get(key, 0) + 1
    for (name, reason, unit), channels in counts.items():
        yield Pinned(name, channels, reason, unit)
