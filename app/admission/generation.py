"""Can a package answer token by token as a job says it? The data is then needed for what the loop does not feed."""

from winnow.contract.errors import Refusal
from winnow.contract.generation_plan import plan_of
from winnow.contract.job import ClosedJob
from winnow.contract.model import ModelFacts
from winnow.contract.needed_data import uses
from winnow.contract.target import DEFAULT_TARGET, measured_on


def as_fed(request: ClosedJob, model: ModelFacts) -> ModelFacts:
    """The model as the data has to fit it: of a package that generates with those inputs alone that no graph feeds.

    Raises `Refusal` `invalid_request`, `missing_data`, and what `plan_of` raises.
    """
    generate = request.generate
    if generate is None:
        return model
    if model.graphs is None:
        detail = "generate is for packages of several graphs, and the model is one graph. Leave it out."
        raise Refusal("invalid_request", detail, field="generate")
    plan = plan_of(generate, model.graphs)
    if request.evaluation is not None:
        detail = (
            "With generate, answers are judged token by token: agreement, and perplexity where the data has labels. "
            "Leave evaluation out."
        )
        raise Refusal("invalid_request", detail, field="evaluation")
    if measured_on(request.target) != DEFAULT_TARGET:
        detail = f"The loop of generate runs on {DEFAULT_TARGET}. Leave target out, or generate."
        raise Refusal("invalid_request", detail, field="target")
    if uses(request.data).keys().isdisjoint({"calibration", "evaluation"}):
        needed = ", ".join(map(repr, plan.roots))
        detail = (
            f"The loop of generate runs on data: on {needed}. Name a dataset in data.evaluation or data.calibration, "
            "or one for all in data.dataset."
        )
        raise Refusal("missing_data", detail, field="data.evaluation")
    needed_names = {*plan.roots}
    return model.model_copy(update={"inputs": [it for it in model.inputs if it.name in needed_names]})
