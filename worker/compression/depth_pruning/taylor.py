"""The criterion `taylor` of `depth_pruning`: what the loss changes by, to first order, without a block."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import torch

from winnow.contract.errors import Refusal
from worker.compression.data.samples import Samples
from worker.compression.engine.working import as_module
from worker.compression.graph.blocks.find import Block
from worker.compression.training.feeding.batches import Batches
from worker.compression.training.goal.calibration_loss import calibration_loss
from worker.compression.training.goal.head import head_of

BATCH = 8


def taylor(model: ir.Model, blocks: Sequence[Block], samples: Samples) -> dict[str, float]:
    """Score each block by name.

    Raises `Refusal` `unsupported_operator`, `not_finite`; `nothing_to_train` where the first output has no gradient.
    """
    head = head_of(model, None, "auto")
    samples = samples.with_class_numbers().unpadded()
    streams = {name for block in blocks for name in (block.entry, block.exit)}
    module = as_module(model, [head.value, *sorted(streams - {head.value})]).eval()
    totals = dict.fromkeys((block.name for block in blocks), 0.0)
    batches = Batches(samples, np.asarray(samples.rows), samples.fixed_batch or BATCH)
    for batch in batches.ordered():
        values = module(batch.feeds)
        output = head.read(values)
        if not output.requires_grad:
            raise Refusal(
                "nothing_to_train",
                f"Output {head.output!r} has no gradient: integers, or an operator such as ArgMax before it. Choose "
                "the criterion leave_one_out.",
            )
        exits = [values[block.exit] for block in blocks]
        loss = calibration_loss(output, head, batch.labels)
        gradients = torch.autograd.grad(loss, exits, allow_unused=True)
        for block, exit_, gradient in zip(blocks, exits, gradients, strict=True):
            if gradient is not None:
                change = (gradient * (values[block.entry] - exit_)).sum()
                totals[block.name] += float(change.detach()) ** 2
    return {name: total / max(1, len(batches)) for name, total in totals.items()}
