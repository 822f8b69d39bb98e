"""Can a step cut channels: has the model what the criterion reads, and can the training between the rounds work?"""

from collections.abc import Collection, Iterator

from app.admission.model_state import ModelState
from winnow.contract.errors import Refusal
from winnow.contract.forecast.cuts import why_heads_do_not_divide
from winnow.contract.model import ModelFacts
from winnow.contract.recipe import ChannelPruning

BATCHNORM = "BatchNormalization"


def check_pruning(index: int, step: ChannelPruning, state: ModelState, included: Collection[int]) -> None:
    """Raises `nothing_to_compress`; `invalid_request` where the criterion has nothing to read, `round_to` lets no head
    go, or the width of the stream stays."""
    where = f"recipe.steps.{index}"
    if not state.facts.layers:
        detail = (
            f"{state.model} has no layers with weights, so there are no channels that {step.kind} could cut."
        )
        raise Refusal("nothing_to_compress", detail, field=f"{where}.kind")
    if step.criterion == "batchnorm_scale" and BATCHNORM not in state.facts.operators:
        raise Refusal(
            "invalid_request",
            f"The criterion batchnorm_scale reads the scales of {BATCHNORM} nodes, and {state.model[0].lower()}"
            f"{state.model[1:]} has none: exporters fold them into the layers before. Use l2, or taylor with "
            "calibration data.",
            field=f"{where}.criterion",
        )
    round_to = step.round_to if step.heads == "whole" else None
    if round_to is not None and (why := why_heads_do_not_divide(round_to, _heads(state.facts, included))):
        raise Refusal("invalid_request", why, field=f"{where}.round_to")
    if step.embedding_width and (why := _why_stream_stays(state)):
        raise Refusal("invalid_request", why, field=f"{where}.embedding_width")


def _heads(facts: ModelFacts, included: Collection[int]) -> Iterator[tuple[str, int, int]]:
    """Of each group of heads that is not excluded: the first layer that makes them, how many there are, their width."""
    for group in facts.channel_groups or ():
        if group.unit == "head" and group.producers and set(included).issuperset(group.producers):
            yield facts.layers[group.producers[0]].name, group.channels, group.width


def _why_stream_stays(state: ModelState) -> str | None:
    """None where a stream's width can go, or nothing is known of them."""
    widths = state.facts.embedding_widths
    if widths is None or any(width.pinned is None for width in widths):
        return None
    if not widths:
        return (
            f"{state.model} has no residual stream that is normalised, so there is no embedding width to cut. Leave "
            "embedding_width out."
        )
    return (
        f"The embedding width of {widths[0].channels} cannot be cut: {widths[0].pinned}. Leave embedding_width out: "
        "heads and inner widths can go without it."
    )
