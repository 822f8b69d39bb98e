"""`activation`: the mean square of what a channel carries, behind its activation function, on calibration samples.

E[a²] over samples and positions, summed over all layers that make the channel (cf. Hu et al. 2016, arXiv:1607.03250).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.data.samples import Samples
from worker.compression.graph.channels import Group
from worker.compression.runtime.observe import Array, Observer

FUNCTIONS: Final = frozenset(
    {"BatchNormalization", "Relu", "LeakyRelu", "PRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Elu"}
    | {"Selu", "Celu", "Tanh", "Softplus", "Gelu", "Mish", "Swish"}
)
"""Operators that pass each channel on by itself."""


@dataclass(frozen=True)
class Tap:
    """Where the channels of a group are seen: index `places[i]` along `axis` of `value` is channel i, −1: not there."""

    value: str
    axis: int
    places: Array


def energies(
    model: ir.Model, groups: Sequence[Group], samples: Samples, told: Callable[[float], None]
) -> list[Array | None]:
    """float64, one number for each channel of each group; None where no Conv, Gemm or MatMul makes it.

    Raises what `Observer` raises.
    """
    taps = [_taps(model, group) for group in groups]
    values = list(dict.fromkeys(tap.value for group in taps for tap in group))
    sums: dict[tuple[str, int], Array] = {}
    done = 0
    for seen in Observer(model, values).run(samples) if values else ():
        there = dict(zip(values, seen.values, strict=True))
        for key in {(tap.value, tap.axis) for group in taps for tap in group}:
            x = np.moveaxis(there[key[0]].astype(np.float64), key[1], -1)
            mean = (x**2).reshape(-1, x.shape[-1]).mean(0)
            sums[key] = sums.get(key, 0.0) + mean * (seen.rows / len(samples))
        done += seen.rows
        told(min(1.0, done / len(samples)))
    return [_of_group(group, found, sums) for group, found in zip(groups, taps, strict=True)]


def any_seen(model: ir.Model, groups: Sequence[Group]) -> bool:
    """Does a Conv, Gemm or MatMul make the channels of one of these groups?"""
    return any(_taps(model, group) for group in groups)


def _of_group(group: Group, taps: list[Tap], sums: dict[tuple[str, int], Array]) -> Array | None:
    if not taps:
        return None
    total = np.zeros(len(group.channels))
    for tap in taps:
        there = tap.places >= 0
        total[there] += sums[tap.value, tap.axis][tap.places[there]]
    return total


def _taps(model: ir.Model, group: Group) -> list[Tap]:
    nodes = {str(node.name): node for node in model.graph}
    return [tap for name in group.producers if name in nodes for tap in _taps_of(nodes[name], group)]


def _taps_of(node: ir.Node, group: Group) -> Iterator[Tap]:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if weight is None or node.op_type not in ("Conv", "Gemm", "MatMul"):
        return
    places = np.full(len(group.channels), -1)
    for index, channel in enumerate(group.channels):
        for part in channel.parts:
            if part.initializer == weight.name and part.role == "output":
                places[index] = part.indices[0]
    if (places >= 0).any():
        yield Tap(str(_behind(node).name), 1 if node.op_type == "Conv" else -1, places)


def _behind(node: ir.Node) -> ir.Value:
    """What the activation function behind a node answers, where nothing else reads in between."""
    value = node.outputs[0]
    while len(uses := value.uses()) == 1 and not value.is_graph_output():
        (use,) = uses
        if use.idx != 0 or use.node.op_type not in FUNCTIONS:
            break
        value = use.node.outputs[0]
    return value
