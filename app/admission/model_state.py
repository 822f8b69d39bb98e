"""The model as each step of a recipe finds it: the upload or the student in its place, and what was made of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.model import ModelFacts
from winnow.contract.recipe import (
    AnyStep,
    ChannelPruning,
    Distillation,
    LowRank,
    Recipe,
    Sparsity,
    Student,
    Training,
)

QDQ: Final = frozenset({"QuantizeLinear", "DequantizeLinear"})


@dataclass(frozen=True)
class ModelState:
    """`facts` are those of `model` as it was uploaded; layers and outputs keep their names over all steps.

    `quantized` and `half` begin a sentence: after what the model is so ("After step 0 (float16) the model"), None
    while it is not. `by_step`: a step quantized it. `qdq`: its quantization is written as Q/DQ nodes. `learns`:
    its weights take few values, and these can be trained as floats. `half_kind`: the step that made it so. `sparse`:
    the step that set weights to zero.
    """

    model: str
    facts: ModelFacts
    quantized: str | None = None
    by_step: bool = False
    qdq: bool = False
    learns: bool = False
    half: str | None = None
    half_kind: str = ""
    sparse: int | None = None


def model_states(
    recipe: Recipe, model: ModelFacts, others: Mapping[str, ModelFacts]
) -> Iterator[tuple[int, AnyStep, ModelState]]:
    """Every step, and the model that it works on; up to a student of which nothing is known."""
    state = _uploaded("The model", model)
    for index, step in enumerate(recipe.steps):
        if isinstance(step, Distillation) and step.student is not None:
            if step.student not in others:
                return
            state = _uploaded(f"The student {step.student}", others[step.student])
        yield index, step, state
        state = _after(index, step, state)


def _uploaded(name: str, facts: ModelFacts) -> ModelState:
    return ModelState(name, facts, name if facts.quantized else None, qdq=facts.operators.keys() >= QDQ)


def _after(index: int, step: AnyStep, state: ModelState) -> ModelState:
    name = f"After step {index} ({step.kind}) the model"
    if step.quantizes:
        return replace(
            state, quantized=name, by_step=True, qdq=step.writes_qdq, learns=step.stores_few_values
        )
    if isinstance(step, Sparsity):
        return replace(state, sparse=index)
    return replace(state, half=name, half_kind=step.kind) if step.halves else state


def check_takes(index: int, step: AnyStep, state: ModelState, calibrated: bool) -> None:
    """Raises `already_quantized`, `not_quantized`, `wrong_order`. `calibrated`: there is calibration data."""
    _check_kind(index, step, state)
    _check_keeps_zeros(index, step, state, calibrated)


def _check_kind(index: int, step: AnyStep, state: ModelState) -> None:
    field = f"recipe.steps.{index}.kind"
    trains = isinstance(step, Training) and state.learns
    if step.takes == "float" and state.quantized is not None and not trains:
        if isinstance(step, Distillation) and step.student is not None:
            field = f"recipe.steps.{index}.student"
        raise Refusal("already_quantized", _not_again(step, state, state.quantized), field=field)
    if step.takes == "quantized" and not (state.quantized and state.qdq):
        raise Refusal("not_quantized", _no_nodes(step, state), field=field)
    floats = step.takes == "float" and not isinstance(step, Training)
    if state.half is not None and (floats or step.quantizes or step.halves):
        half = state.half_kind
        advice = (
            "Leave this step out." if step.halves else f"Put {step.kind} before {half}, or leave {half} out."
        )
        detail = f"{state.half} is in half precision, and {step.kind} needs float32 weights. {advice}"
        raise Refusal("wrong_order", detail, field=field)
    if isinstance(step, Training) and state.half is not None:
        detail = (
            f"{state.half} is in half precision, in which small steps of the training vanish. Put {step.kind} "
            f"before {state.half_kind}."
        )
        raise Refusal("wrong_order", detail, field=field)


def _check_keeps_zeros(index: int, step: AnyStep, state: ModelState, calibrated: bool) -> None:
    """What fits weights anew would fill them."""
    repairs = isinstance(step, ChannelPruning) and (calibrated if step.repair is None else step.repair)
    repairs = repairs or (isinstance(step, Student) and calibrated and step.init == "teacher")
    if state.sparse is not None and (repairs or isinstance(step, LowRank)):
        raise Refusal(
            "wrong_order",
            f"{step.kind} fits weights anew, so the zeros of step {state.sparse} (sparsity) would be gone. Put "
            f"sparsity behind it{', or set repair to false' if isinstance(step, ChannelPruning) else ''}.",
            field=f"recipe.steps.{index}.kind",
        )


def _not_again(step: AnyStep, state: ModelState, quantized: str) -> str:
    if step.quantizes:
        advice = "Leave this step out, or upload the float model."
        return f"{quantized} is quantized already, and {step.kind} would quantize it again. {advice}"
    trains = isinstance(step, Training)
    does = "trains" if trains else "works on"
    through_qdq = trains and state.qdq
    if state.by_step:
        instead = "Use quantization_aware_training in its place, or put" if through_qdq else "Put"
        advice = f"{instead} it before the step that quantizes."
    else:
        advice = "Give the float model" + (", or use quantization_aware_training." if through_qdq else ".")
    return f"{quantized} is quantized, and {step.kind} {does} weights that are floats. {advice}"


def _no_nodes(step: AnyStep, state: ModelState) -> str:
    needs = f"{step.kind} trains through QuantizeLinear and DequantizeLinear nodes"
    if state.quantized is None:
        return f"{needs}, and {lower_first(state.model)} has none. Put int8_static before it."
    if state.by_step:
        return f"{needs}. {state.quantized} is quantized without them: use int8_static in place of that step."
    return f"{needs}. {state.quantized} is quantized in another way: give the float model, and int8_static before."


def lower_first(name: str) -> str:
    """A sentence's beginning inside a sentence."""
    return name[0].lower() + name[1:]
