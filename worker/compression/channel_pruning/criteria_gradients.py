"""Criteria that ask how the loss would change, from gradients on calibration samples. w: all that makes a channel.

taylor   mean over batches of (Σ g w)²      first order, of the whole channel  (Molchanov et al. 2019, arXiv:1906.10771)
                                            of a head w is what reads it         (Michel et al. 2019, arXiv:1905.10650)
fisher   ½ Σ w² · E[g²]                     second order, diagonal, the Hessian taken for the Fisher information
                                            (LeCun et al. 1990; Theis et al. 2018, arXiv:1801.05787)

The loss is that of `training/goal/calibration_loss.py`. E is over batches of `BATCH` samples, whose mean gradient g
stands for those of single samples.
"""

from collections.abc import Callable, Iterable, Sequence
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


def gradient_scores(
    model: ir.Model,
    groups: Sequence[Group],
    kind: Literal["taylor", "fisher"],
    samples: Samples,
    report_progress: Callable[[float], None],
) -> list[Array]:
    """Score each channel of each group, float64.

    Raises `Refusal` `unsupported_operator`, `not_finite`, `nothing_to_train` where the first output has no gradient.
    """
    head, initializers = head_of(model, None, "auto"), Initializers(model)
    samples = samples.with_class_numbers().unpadded()
    module = as_module(model, [head.value]).eval()
    learned = dict(module.named_parameters())
    parts = [
        [[p for p in _parts(kind, g, c) if p.initializer in learned] for c in g.channels] for g in groups
    ]
    totals = [np.zeros(len(group.channels)) for group in groups]
    batches = Batches(samples, np.asarray(samples.rows), samples.fixed_batch or BATCH)
    done = 0
    for batch in batches.ordered():
        gradients = _gradients(module, head, batch)
        for scores, channels in zip(totals, parts, strict=True):
            for index, channel in enumerate(channels):
                products = [
                    initializers.slice(part) * initializers.slice(part, gradients[part.initializer])
                    for part in channel
                    if part.initializer in gradients
                ]
                scores[index] += _score(kind, products)
        done += len(batch)
        report_progress(done / len(samples))
    return [scores / max(1, len(batches)) for scores in totals]


def _parts(kind: Literal["taylor", "fisher"], group: Group, channel: Channel) -> Iterable[Part]:
    return gating_parts(group, channel) if kind == "taylor" else producing_parts(channel)


def _score(kind: Literal["taylor", "fisher"], products: list[Array]) -> float:
    if kind == "taylor":
        return sum(float(each.sum()) for each in products) ** 2
    return 0.5 * sum(float((each**2).sum()) for each in products)


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
