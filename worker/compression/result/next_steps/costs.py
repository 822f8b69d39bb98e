"""What to try where the result is not fast, small or light enough."""

from collections.abc import Iterator
from typing import Any, Final

from winnow.contract.recipe import (
    ChannelPruning,
    Int8,
    Int8Dynamic,
    Int8Static,
    MixedPrecision,
    StructuredPruning,
    Training,
)
from worker.compression.result.next_steps.situation import MATMULS_AND_CONV, Situation, Suggestion, recipe_of

MAX_AMOUNT: Final = 0.9
FIRST_AMOUNT: Final = 0.3
MAX_STEPS: Final = 20
"""Of a recipe."""
INTEGERS: Final = (Int8, Int8Static, Int8Dynamic, MixedPrecision)


def after_slowness(now: Situation) -> Iterator[Suggestion]:
    if now.exact and not any(isinstance(step, INTEGERS) for step in now.steps):
        yield from _integers(
            now, "8-bit integers are what this CPU multiplies fastest; int8 keeps them only if so."
        )
    yield from _more_cut(now)
    yield from _cut_first(now, "latency", "Cut channels first, until the network takes 0.7 of its time here.")
    if not now.exact and not any(isinstance(step, INTEGERS) for step in now.steps):
        yield from _integers(now, "Try 8-bit integers: without VNNI they are seldom fast, and int8 tells.")


def after_size(now: Situation) -> Iterator[Suggestion]:
    quantizes = any(step.quantizes for step in now.steps)
    if not quantizes:
        yield from _integers(now, "Weights in 8 bits take a quarter of float32.")
    yield from _fewer_bits(now)
    yield from _less_in_float(now)
    yield from _more_cut(now)
    yield from _cut_first(now, "parameters", "Cut channels first, until 0.7 of the parameters are left.")


def after_memory(now: Situation) -> Iterator[Suggestion]:
    """Activations go with channels, weights with both."""
    yield from _more_cut(now)
    yield from _cut_first(now, "macs", "Cut channels first: with them go activations and weights.")


def _integers(now: Situation, why: str) -> Iterator[Suggestion]:
    if now.takes_integers and not now.has_student:
        yield Suggestion(why, recipe_of([{"kind": "int8"}]))


def _more_cut(now: Situation) -> Iterator[Suggestion]:
    for index, step in now.of_kind(StructuredPruning):
        amount = round(step.amount + (1 - step.amount) / 3, 3)
        all_can_go = isinstance(step, ChannelPruning) or step.target == "blocks"
        if amount <= MAX_AMOUNT and all_can_go:
            why = f"Cut more: {amount:g} of the {step.target} in place of {step.amount:g}."
            yield Suggestion(why, now.changed(index, amount=amount))


def _cut_first(now: Situation, target: str, why: str) -> Iterator[Suggestion]:
    """Put pruning in front of the recipe, with a training behind it where there is data for one."""
    pruned = any(isinstance(step, StructuredPruning) for step in now.steps)
    cuttable = now.one_graph and not now.quantized and now.operators & MATMULS_AND_CONV
    if pruned or now.has_student or not cuttable:
        return
    cut: dict[str, Any] = {"kind": "channel_pruning", "target": target, "amount": FIRST_AMOUNT}
    trains = any(isinstance(step, Training) for step in now.steps)
    training: list[Any] = [{"kind": "distillation", "epochs": 5}] if now.may_train and not trains else []
    if len(now.steps) + 2 <= MAX_STEPS:
        yield Suggestion(why, recipe_of([cut, *training, *now.steps]))


def _fewer_bits(now: Situation) -> Iterator[Suggestion]:
    """4 bits for weights in place of 8; only where nothing after it needs the nodes of 8 bits."""
    for index, step in enumerate(now.steps):
        if isinstance(step, INTEGERS) and not now.trains_after(index) and now.operators & MATMULS_AND_CONV:
            why = f"Weights of 4 bits take half of what {step.kind} leaves; the arithmetic stays in floats."
            yield Suggestion(why, now.replaced(index, {"kind": "weight_only", "bits": 4}))


def _less_in_float(now: Situation) -> Iterator[Suggestion]:
    for index, step in enumerate(now.steps):
        if isinstance(step, INTEGERS) and step.exclude:
            yield Suggestion(
                f"Quantize what exclude of {step.kind} leaves in float.", now.changed(index, exclude=[])
            )
