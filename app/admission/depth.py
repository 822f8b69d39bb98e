"""Can a step take residual blocks out: has the model any, and do they have as much as is to go?"""

from collections.abc import Collection

from app.admission.named_layers import NamedLayers
from winnow.contract.errors import Refusal
from winnow.contract.model import ModelFacts
from winnow.contract.recipe import DepthPruning


def check_depth(
    index: int, step: DepthPruning, named: NamedLayers, included: Collection[int], reshaped: bool
) -> None:
    """Raises `nothing_to_compress`, `invalid_request`. `reshaped`: steps before it change what layers cost.

    Nothing is known of the blocks of a model that is too large, or was inspected before they were kept.
    """
    state = named.state
    if state.facts.blocks is None:
        return
    free = {named.layers[place].name for place in included}
    blocks = [block for block in state.facts.blocks if block.pinned is None]
    going = [block for block in blocks if free.issuperset(block.layers)]
    if not going:
        raise Refusal(
            "nothing_to_compress", _why_none(named, len(blocks)), field=f"recipe.steps.{index}.kind"
        )
    names = {name for block in going for name in block.layers}
    share = None if reshaped or step.target != "macs" else _most(state.facts, names)
    if share is not None and share < step.amount:
        raise Refusal(
            "invalid_request",
            f"{step.amount:.1%} of the {step.target} were to go, and the {len(going)} residual blocks that can go "
            f"have at most {share:.1%} of them. Ask for less, or cut channels too (channel_pruning).",
            field=f"recipe.steps.{index}.amount",
        )


def _most(facts: ModelFacts, going: Collection[str]) -> float | None:
    """The share of the multiply-accumulates that can go at most; None where shapes are open."""
    staying = [layer.macs for layer in facts.layers if layer.name not in going]
    if not facts.macs or None in staying:
        return None
    return 1 - sum(macs or 0 for macs in staying) / facts.macs


def _why_none(named: NamedLayers, blocks: int) -> str:
    if blocks:
        return f"`exclude` leaves none of the {blocks} residual blocks that could go."
    pinned = [f"{block.name}: {block.pinned}" for block in named.state.facts.blocks or ()]
    if pinned:
        return f"None of the model's {len(pinned)} residual blocks can go ({'; '.join(pinned[:4])})."
    return (
        f"{named.state.model} has no residual blocks: no layers around which their input is added to their output. Cut "
        "channels in place of them (channel_pruning)."
    )
