"""The criterion `activation`: the mean square of a channel's values, behind its activation function, on samples.

E[a²] over samples and positions, summed over all layers that make the channel (cf. Hu et al. 2016, arXiv:1607.03250).
Of an attention head it is that of what it gives to the projection behind it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.data.samples import Samples
from worker.compression.graph.channels import Group
from worker.compression.ir.arrays import Array
from worker.compression.ir.values import input_at, required_input
from worker.compression.runtime.observe import Observer

CHANNELWISE_FUNCTIONS: Final = frozenset(
    {"BatchNormalization", "Relu", "LeakyRelu", "PRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Elu"}
    | {"Selu", "Celu", "Tanh", "Softplus", "Gelu", "Mish", "Swish"}
)
"""Operators that pass each channel on by itself."""


@dataclass(frozen=True)
class Tap:
    """Where a group's channels are observed: channel i is at `positions[i]` along `axis` of `value`; none: nowhere."""

    value: str
    axis: int
    positions: list[tuple[int, ...]]


def activation_energies(
    model: ir.Model, groups: Sequence[Group], samples: Samples, report_progress: Callable[[float], None]
) -> list[Array | None]:
    """Score each channel of each group, float64; None for a group that no Conv, Gemm or MatMul makes.

    Raises what `Observer` raises.
    """
    taps = [_taps(model, group) for group in groups]
    values = list(dict.fromkeys(tap.value for group in taps for tap in group))
    sums: dict[tuple[str, int], Array] = {}
    done = 0
    for batch in Observer(model, values).run(samples) if values else ():
        arrays = dict(zip(values, batch.values, strict=True))
        for key in {(tap.value, tap.axis) for group in taps for tap in group}:
            x = np.moveaxis(arrays[key[0]].astype(np.float64), key[1], -1)
            mean = (x**2).reshape(-1, x.shape[-1]).mean(0)
            sums[key] = sums.get(key, 0.0) + mean * (batch.rows / len(samples))
        done += batch.rows
        report_progress(min(1.0, done / len(samples)))
    return [_group_energy(group, own, sums) for group, own in zip(groups, taps, strict=True)]


def any_observable(model: ir.Model, groups: Sequence[Group]) -> bool:
    """Whether a Conv, Gemm or MatMul makes the channels of one of these groups."""
    return any(_taps(model, group) for group in groups)


def _group_energy(group: Group, taps: list[Tap], sums: dict[tuple[str, int], Array]) -> Array | None:
    if not taps:
        return None
    total = np.zeros(len(group.channels))
    for tap in taps:
        means = sums[tap.value, tap.axis]
        total += [means[list(places)].sum() for places in tap.positions]
    return total


def _taps(model: ir.Model, group: Group) -> list[Tap]:
    nodes = {str(node.name): node for node in model.graph}
    names = group.consumers if group.unit == "head" else group.producers
    return [tap for name in names if name in nodes for tap in _taps_of(nodes[name], group)]


def _taps_of(node: ir.Node, group: Group) -> Iterator[Tap]:
    weight = input_at(node, 1)
    if weight is None or node.op_type not in ("Conv", "Gemm", "MatMul"):
        return
    role = "input" if group.unit == "head" else "output"
    positions = [
        tuple(i for p in channel.parts if p.initializer == weight.name and p.role == role for i in p.indices)
        for channel in group.channels
    ]
    if any(positions):
        value = required_input(node, 0) if role == "input" else _activated(node)
        yield Tap(str(value.name), 1 if node.op_type == "Conv" else -1, positions)


def _activated(node: ir.Node) -> ir.Value:
    """Follow a node's output through the functions behind it, as long as nothing else reads in between."""
    value = node.outputs[0]
    while len(uses := value.uses()) == 1 and not value.is_graph_output():
        (use,) = uses
        if use.idx != 0 or use.node.op_type not in CHANNELWISE_FUNCTIONS:
            break
        value = use.node.outputs[0]
    return value
