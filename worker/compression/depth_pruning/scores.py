"""How much a residual block would be missed, on calibration samples: 0 is a block that does nothing.

block_influence  1 − mean cos(entry, exit), over samples and positions, each a vector of channels
                 (Men et al. 2024, ShortGPT, arXiv:2403.03853)
taylor           mean over batches of (Σ g (entry − exit))², g the gradient of the loss at the exit: what the loss
                 changes by to first order when the entry takes its place (after Molchanov et al. 2019)
leave_one_out    noise / signal of the outputs without the block, beside those of the model before the step
"""

from collections.abc import Callable, Sequence
from typing import Literal, assert_never

import numpy as np
import onnx_ir as ir

from worker.compression.data.samples import Samples
from worker.compression.graph.blocks.find import Block
from worker.compression.graph.blocks.removal import without_blocks
from worker.compression.ir.arrays import Array
from worker.compression.quantization.search.output_error import OutputComparer
from worker.compression.runtime.observe import Observer
from worker.compression.steps.context import Context

Scorer = Callable[[ir.Model, Sequence[Block]], dict[str, float]]
"""Scores these blocks of this model by name."""


def scorer_of(
    criterion: Literal["block_influence", "taylor", "leave_one_out"],
    model: ir.Model,
    samples: Samples,
    context: Context,
) -> Scorer:
    """Choose what scores; `model` is the one before the step. Raises `model_does_not_run`, `not_finite`."""
    match criterion:
        case "block_influence":
            return lambda network, blocks: block_influence(network, blocks, samples)
        case "taylor":
            from worker.compression.depth_pruning.taylor import taylor  # needs torch

            return lambda network, blocks: taylor(network, blocks, samples)
        case "leave_one_out":
            comparer = OutputComparer(model, samples, context.scratch, target=context.target)
            return lambda network, blocks: leave_one_out(network, blocks, comparer)
    assert_never(criterion)


def leave_one_out(model: ir.Model, blocks: Sequence[Block], comparer: OutputComparer) -> dict[str, float]:
    """Run the model without each block. Raises `model_does_not_run`."""
    return {block.name: 10 ** (-comparer(without_blocks(model, [block])).snr_db / 10) for block in blocks}


def block_influence(model: ir.Model, blocks: Sequence[Block], samples: Samples) -> dict[str, float]:
    """Compare the stream in front of each block with the stream behind. Raises what `Observer` raises."""
    convolves = {str(node.name) for node in model.graph if node.op_type in ("Conv", "ConvTranspose")}
    observer = Observer(model, sorted({name for block in blocks for name in (block.entry, block.exit)}))
    sums, counts = dict.fromkeys((b.name for b in blocks), 0.0), dict.fromkeys((b.name for b in blocks), 0)
    for seen in observer.run(samples):
        values = dict(zip(observer.values, seen.values, strict=True))
        for block in blocks:
            axis = -1 if convolves.isdisjoint(block.layers) else 1
            cosines = _cosines(values[block.entry], values[block.exit], axis)
            sums[block.name] += float(cosines.sum())
            counts[block.name] += cosines.size
    return {name: 1 - sums[name] / max(1, counts[name]) for name in sums}


def _cosines(x: Array, y: Array, axis: int) -> Array:
    """Cosines of vectors along an axis, float64; 1 where both are zero."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    product = (x * y).sum(axis)
    lengths = np.sqrt((x * x).sum(axis) * (y * y).sum(axis))
    zeros = (x == 0).all(axis) & (y == 0).all(axis)
    return np.asarray(np.where(lengths > 0, product / np.where(lengths > 0, lengths, 1), zeros))
