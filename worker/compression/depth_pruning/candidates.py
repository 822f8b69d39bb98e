"""Which residual blocks a step may take out, and what it is refused for before any work."""

from collections.abc import Mapping

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import DepthPruning
from worker.compression.graph.blocks.find import MAX_NODES, Block, Blocks, is_too_large, residual_blocks
from worker.compression.graph.blocks.removal import without_blocks
from worker.compression.graph.facts.cost import parameters
from worker.compression.ir.naming import excluded


def removable(model: ir.Model, all_blocks: Blocks, step: DepthPruning) -> list[Block]:
    """List the blocks in which no layer is excluded."""
    kept = {str(node.name) for node in model.graph if excluded(node, step.exclude)}
    return [block for block in all_blocks.blocks if kept.isdisjoint({block.name, *block.layers})]


def check_depth(model: ir.Model, step: DepthPruning) -> None:
    """Refuse before any work what the graph alone rules out.

    Raises `nothing_to_compress` where no block can go; `invalid_request` where the target is beyond all of them.
    """
    all_blocks = blocks_of(model)
    candidates = removable(model, all_blocks, step)
    refuse_without({block.name: block for block in candidates}, all_blocks, step)
    if step.target != "parameters":
        return
    share = 1 - parameters(without_blocks(model, candidates)) / parameters(model)
    if share < step.amount:
        raise Refusal("invalid_request", beyond(step, len(candidates), share), field="recipe.steps")


def blocks_of(model: ir.Model) -> Blocks:
    """Find them. Raises `nothing_to_compress` where the graph is too large for that."""
    if not is_too_large(model):
        return residual_blocks(model)
    raise Refusal(
        "nothing_to_compress",
        f"The model's graph has {len(model.graph):,} nodes; residual blocks are looked for among {MAX_NODES:,} at "
        "most. Cut channels in place of them (channel_pruning).",
        field="recipe.steps",
    )


def beyond(step: DepthPruning, blocks: int, share: float) -> str:
    """Say that a target is beyond all blocks that can go."""
    return (
        f"{step.amount:.1%} of the {step.target} were to go, and the {blocks} residual blocks that can go have "
        f"{share:.1%} of them. Ask for less, or cut channels too (channel_pruning)."
    )


def refuse_without(candidates: Mapping[str, Block], all_blocks: Blocks, step: DepthPruning) -> None:
    """Raise `nothing_to_compress` where no block can go, with the reasons."""
    if candidates:
        return
    if all_blocks.blocks:
        detail = f"`exclude` leaves none of the {len(all_blocks.blocks)} residual blocks that could go."
    elif all_blocks.pinned:
        reasons = "; ".join(f"{each.name}: {each.reason}" for each in all_blocks.pinned[:4])
        detail = f"None of the model's {len(all_blocks.pinned)} residual blocks can go ({reasons})."
    else:
        detail = (
            "The model has no residual blocks: no layers around which its input is added to their output. Cut channels "
            "in place of them (channel_pruning)."
        )
    raise Refusal("nothing_to_compress", detail, field="recipe.steps")
