"""Can a step cut channels: has the model what the criterion reads, and can the training between the rounds work?"""

from app.admission.model_state import ModelState
from winnow.contract.errors import Refusal
from winnow.contract.recipe import ChannelPruning

BATCHNORM = "BatchNormalization"


def check_pruning(index: int, step: ChannelPruning, state: ModelState) -> None:
    """Raises `nothing_to_compress`, `invalid_request`."""
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
