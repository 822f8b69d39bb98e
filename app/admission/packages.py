"""What a package of several graphs can have done to it: its weights are quantized, rounded and set to zero, and its
graphs simplified. What trains or changes shapes works on models of one graph.
"""

from collections.abc import Mapping
from typing import Final, assert_never

from winnow.contract.errors import Refusal, Refusals
from winnow.contract.job import ClosedJob
from winnow.contract.model import ModelFacts
from winnow.contract.other_models import named_models
from winnow.contract.recipe import (
    AnyStep,
    BFloat16,
    Binary,
    ChannelPruning,
    DepthPruning,
    Distillation,
    Finetune,
    Float16,
    Int8,
    Int8Dynamic,
    Int8Static,
    LowRank,
    MixedPrecision,
    NoOp,
    Palette,
    QuantizationAwareTraining,
    Simplify,
    Sparsity,
    Student,
    VocabularyPruning,
    WeightOnly,
)

CODE: Final = "one_graph_needed"
DO: Final = (
    "Take a step that needs no training (int8_dynamic, weight_only, int8_static, float16, palette, sparsity)"
)


def check_package(refusals: Refusals, request: ClosedJob, model: ModelFacts) -> None:
    """Keeps `one_graph_needed` for each step that a package cannot have done, and for what else asks for one graph."""
    if model.graphs is None:
        return
    for index, step in enumerate(request.recipe.steps):
        with refusals:
            if (why := _why_not(step)) is not None:
                detail = (
                    f"The model is a package of {named(model)}, and {step.kind} {why}. {DO}, or compress the graphs "
                    "one by one."
                )
                raise Refusal(CODE, detail, field=f"recipe.steps.{index}.kind")
    with refusals:
        if request.explain:
            detail = "What a model looks at is compared for models of one graph. Leave explain out."
            raise Refusal(CODE, detail, field="explain")


def check_no_package(model: ModelFacts, what: str, field: str | None) -> None:
    """Raises `one_graph_needed` where the model is a package. `what` is not made of, or done with, one."""
    if model.graphs is not None:
        detail = (
            f"The model is a package of {named(model)}, and {what}. Upload the graph that is meant by itself."
        )
        raise Refusal(CODE, detail, field=field)


def check_others(request: ClosedJob, others: Mapping[str, ModelFacts]) -> None:
    """Raises `one_graph_needed` where a teacher or student is a package."""
    for id, field in named_models(request.recipe).items():
        if id in others:
            check_no_package(others[id], "teachers and students are models of one graph", field)


def named(model: ModelFacts) -> str:
    """Its graphs by their names."""
    names = [graph.name for graph in model.graphs or ()]
    return f"{len(names)} graphs ({', '.join(names)})"


def _why_not(step: AnyStep) -> str | None:
    match step:
        case Sparsity(criterion="taylor"):
            return "by taylor needs gradients of one graph"
        case MixedPrecision(sensitivity="hessian"):
            return "by hessian needs gradients of one graph"
        case Int8() | Int8Static() | Int8Dynamic() | WeightOnly() | MixedPrecision() | Palette() | Binary():
            return None
        case Float16() | BFloat16() | Sparsity() | Simplify() | NoOp():
            return None
        case Finetune() | Distillation() | QuantizationAwareTraining():
            return "trains one graph"
        case ChannelPruning() | DepthPruning() | LowRank() | VocabularyPruning():
            return "changes the shapes that the graphs pass to each other"
        case Student():
            return "makes a smaller network of one graph"
    assert_never(step)
