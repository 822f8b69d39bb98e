"""What a step may cut of a model: its groups without those that are excluded, or why what it asks for cannot be."""

from collections.abc import Sequence

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.forecast.cuts import why_heads_do_not_divide
from winnow.contract.recipe import ChannelPruning
from worker.compression.graph.channels import Cuttable, Group, Groups
from worker.compression.ir.naming import excluded


def cuttable(step: ChannelPruning) -> Cuttable:
    return Cuttable(step.heads, step.embedding_width)


def prunable_groups(model: ir.Model, groups: Groups, step: ChannelPruning) -> list[Group]:
    """List the groups that no excluded layer makes a channel of."""
    excluded_names = {
        str(node.name)
        for node in ir.traversal.RecursiveGraphIterator(model.graph)
        if excluded(node, step.exclude)
    }
    return [group for group in groups.groups if not excluded_names & set(group.producers)]


def refuse_impossible(all_groups: Groups, groups: Sequence[Group], step: ChannelPruning) -> None:
    """Raises `invalid_request` where the width of the stream was asked for and stays, or no head can go for
    `round_to`. `groups`: those that are not excluded."""
    heads = [(group.name, len(group.channels), group.width) for group in groups if group.unit == "head"]
    if step.round_to is not None and (why := why_heads_do_not_divide(step.round_to, heads)) is not None:
        raise Refusal("invalid_request", why, field="recipe.steps.round_to")
    if step.embedding_width and not any(group.unit == "embedding" for group in groups):
        raise Refusal("invalid_request", _why_stream_stays(all_groups), field="recipe.steps.embedding_width")


def _why_stream_stays(groups: Groups) -> str:
    for group in groups.groups:
        if group.unit == "embedding":
            return (
                f"`exclude` keeps the embedding width of {len(group.channels)}, which {', '.join(group.producers[:4])} "
                f"and {max(0, len(group.producers) - 4)} more layers make together. Exclude none of them, or leave "
                "embedding_width out."
            )
    for pinned in groups.pinned:
        if pinned.unit == "embedding":
            return (
                f"The embedding width of {pinned.channels} ({pinned.node}) cannot be cut: {pinned.reason}. Leave "
                "embedding_width out: heads and inner widths can go without it."
            )
    return (
        "The model has no residual stream that is normalised, so there is no embedding width to cut. Leave "
        "embedding_width out."
    )
