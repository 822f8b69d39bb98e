"""Criteria that ask how the loss would change, from gradients on calibration samples. w: all that makes a channel.

taylor   mean over batches of (Σ g w)²      first order, of the whole channel  (Molchanov et al. 2019, arXiv:1906.10771)
                                            of a head w is what reads it         (Michel et al. 2019, arXiv:1905.10650)
fisher   ½ Σ w² · E[g²]                     second order, diagonal, the Hessian taken for the Fisher information
                                            (LeCun et al. 1990; Theis et al. 2018, arXiv:1801.05787)

The loss is that of `training/goal/calibration_loss.py`. E is over batches of `BATCH` samples, whose mean gradient g
stands for those of single samples.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import onnx_ir as ir
import torch

from winnow.contract.errors import Refusal
from worker.compression.channel_pruning.channel_slices import Initializers, gating_parts, producing_parts
from worker.compression.data.samples import Samples
from worker.compression.engine.module import GraphModule
from worker.compression.engine.working import as_module
from worker.compression.graph.channels import Channel, Group, Part
from worker.compression.ir.arrays import Array
from worker.compression.training.feeding.batches import Batch, Batches
from worker.compression.training.goal.calibration_loss import calibration_loss
from worker.compression.training.goal.head import Head, head_of

BATCH = 8
Kind = Literal["taylor", "fisher"]


def gradient_scores(
    model: ir.Model,
    groups: Sequence[Group],
    kind: Kind,
    samples: Samples,
    report_progress: Callable[[float], None],
) -> list[Array]:
    """Score each channel of each group, float64.

    Raises `Refusal` `unsupported_operator`, `not_finite`, `nothing_to_train` where the first output has no gradient.
    """
    head, initializers = head_of(model, None, "auto"), Initializers(model)
    samples = samples.with_class_numbers().unpadded()
    module = as_module(model, [head.value]).eval()
    slices = [_slices(kind, group) for group in groups]
    totals = [np.zeros(len(group.channels)) for group in groups]
    batches = Batches(samples, np.asarray(samples.rows), samples.fixed_batch or BATCH)
    done = 0
    for batch in batches.ordered():
        summed = _Sums(kind, initializers, _gradients(module, head, batch))
        for scores, places in zip(totals, slices, strict=True):
            total = sum((summed.by_channel(each, len(scores)) for each in places), np.zeros(len(scores)))
            scores += total**2 if kind == "taylor" else 0.5 * total
        done += len(batch)
        report_progress(done / len(samples))
    return [scores / max(1, len(batches)) for scores in totals]


def _parts(kind: Kind, group: Group, channel: Channel) -> Iterable[Part]:
    return gating_parts(group, channel) if kind == "taylor" else producing_parts(channel)


@dataclass(frozen=True)
class _Slices:
    """Where channels of a group lie along an axis of an initializer: `indices` [n], of the `channels` [n]."""

    initializer: str
    axis: int
    channels: Array
    indices: Array


def _slices(kind: Kind, group: Group) -> list[_Slices]:
    """Gather the parts of all channels by initializer and axis."""
    places: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for number, channel in enumerate(group.channels):
        for part in _parts(kind, group, channel):
            pairs = ((number, index) for index in part.indices)
            places.setdefault((part.initializer, part.axis), []).extend(pairs)
    return [_Slices(*place, *np.array(pairs, np.int64).T) for place, pairs in places.items() if pairs]


@dataclass
class _Sums:
    """Of one batch: Σ g w, or Σ (g w)², of all that lies at one place of an axis; each computed once."""

    kind: Kind
    initializers: Initializers
    gradients: Mapping[str, Array]
    _along: dict[tuple[str, int], Array] = field(default_factory=dict)

    def by_channel(self, each: _Slices, channels: int) -> Array:
        """The sum of each channel, float64 [channels]; 0 of what has no gradient."""
        if each.initializer not in self.gradients:
            return np.zeros(channels)
        return np.bincount(each.channels, self._sums(each.initializer, each.axis)[each.indices], channels)

    def _sums(self, name: str, axis: int) -> Array:
        if (name, axis) not in self._along:
            product = self.initializers.array(name).astype(np.float64) * self.gradients[name]
            others = tuple(place for place in range(product.ndim) if place != axis % product.ndim)
            self._along[name, axis] = (product if self.kind == "taylor" else product**2).sum(others)
        return self._along[name, axis]


def _gradients(module: GraphModule, head: Head, batch: Batch) -> dict[str, Array]:
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    output = head.read(module(batch.feeds))
    if not output.requires_grad:
        raise Refusal(
            "nothing_to_train",
            f"Output {head.output!r} has no gradient: integers, or an operator such as ArgMax before it. Choose the "
            "criterion activation or l2.",
        )
    gradients = torch.autograd.grad(
        calibration_loss(output, head, batch.labels), list(parameters.values()), allow_unused=True
    )
    return {name: g.numpy() for name, g in zip(parameters, gradients, strict=True) if g is not None}
