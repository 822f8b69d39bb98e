"""What a student leaves out, and what it is refused for before any work."""

import onnx_ir as ir

from winnow.contract.dividing import check_width
from winnow.contract.errors import Refusal
from winnow.contract.evenly import going, units_of
from winnow.contract.steps.student import StudentSettings
from worker.compression.graph.blocks.find import MAX_NODES, Block, is_too_large, residual_blocks
from worker.compression.graph.channels import channel_groups
from worker.compression.graph.facts.facts import described_blocks
from worker.compression.graph.nodes.weights import layers
from worker.compression.ir.naming import excluded

FIELD = "recipe.steps"


def check_student(model: ir.Model, settings: StudentSettings, where: str = FIELD) -> None:
    """Refuse before any work what the graph alone rules out.

    Raises `nothing_to_compress` where no block can go, or the graph is too large to tell; `invalid_request` for a depth
    beyond what can go; `does_not_divide` for a width that leaves parts of channels; `nothing_to_train` for a model
    without weights.
    """
    if not any(True for _ in layers(model)):
        raise Refusal(
            "nothing_to_train",
            "The model has no layers with weights: no student of it could learn.",
            field=where,
        )
    blocks_that_go(model, settings, where)
    if settings.width < 1 and settings.round_to is None:
        kept = {str(node.name) for node in model.graph if excluded(node, settings.exclude)}
        groups = channel_groups(model).groups
        sizes = [(g.name, len(g.channels)) for g in groups if kept.isdisjoint(g.producers)]
        if not sizes:
            detail = "The model has no channels that can be cut, so no width but 1. Leave width out, and give a depth."
            raise Refusal("nothing_to_compress", detail, field=where)
        check_width(settings.width, sizes, where)


def blocks_that_go(model: ir.Model, settings: StudentSettings, where: str = FIELD) -> list[Block]:
    """List the blocks that a depth takes out, in the order of the graph. Raises what `check_student` says of them."""
    if settings.depth == 1:
        return []
    if is_too_large(model):
        raise Refusal(
            "nothing_to_compress",
            f"The model's graph has {len(model.graph):,} nodes; residual blocks are looked for among {MAX_NODES:,} at "
            "most. Leave depth out, and give a width or a target.",
            field=where,
        )
    found = residual_blocks(model)
    units = units_of(described_blocks(found), [str(node.name) for node, _ in layers(model)])
    names = {block.name for unit in going(units, settings.depth, settings.exclude, where) for block in unit}
    return [block for block in found.blocks if block.name in names]
