"""Make the report's `next_steps`: at most three, of what was missed in turns."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain, zip_longest
from typing import Any, Final

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.job import ClosedJob
from winnow.contract.recipe import Recipe
from winnow.contract.report import NextStep, RequirementResult
from winnow.contract.requirements import MEMORY, SIZE, SPEED
from winnow.contract.steps.base import Need
from worker.compression.graph.facts.facts import is_quantized
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.materials import Materials
from worker.compression.quantization.integer.hardware import TARGETS, machine_of
from worker.compression.result.causes.evidence import Evidence, is_quality
from worker.compression.result.causes.shared import wide_interval
from worker.compression.result.next_steps.costs import after_memory, after_size, after_slowness
from worker.compression.result.next_steps.quality import after_loss
from worker.compression.result.next_steps.situation import Missed, Situation, Suggestion

MOST: Final = 3
REMEDIES: Final[Mapping[Missed, Callable[[Situation], Iterator[Suggestion]]]] = {
    "quality": after_loss,
    "speed": after_slowness,
    "size": after_size,
    "memory": after_memory,
}


def next_steps(evidence: Evidence, recipe: Recipe, materials: Materials) -> list[NextStep]:
    """Suggest recipes for what is not met; none where all is, or where only more samples would tell."""
    missed = frozenset(_missed(evidence))
    if not missed:
        return []
    situation = _situation(missed, evidence, recipe, materials)
    request = materials.options.request
    return [NextStep(why=each.why, request=body(each.recipe, request)) for each in suggestions(situation)]


def suggestions(now: Situation) -> list[Suggestion]:
    """List at most three recipes that are not the one that was tried, each once."""
    by_kind = [REMEDIES[kind](now) for kind in REMEDIES if kind in now.missed]
    unique: dict[str, Suggestion] = {}
    for each in chain.from_iterable(zip_longest(*by_kind)):
        if each is not None and each.recipe != now.recipe:
            unique.setdefault(each.recipe.model_dump_json(), each)
    return [*unique.values()][:MOST]


def _missed(evidence: Evidence) -> Iterator[Missed]:
    for entry in evidence.unmet():
        if wide_interval(entry, evidence) is None and (kind := _kind_of(entry)) is not None:
            yield kind


def _kind_of(entry: RequirementResult) -> Missed | None:
    """What was missed; None for what was not measured, and for targets of a step."""
    if entry.measured is None and entry.name != "finite_outputs":
        return None
    if is_quality(entry.name):
        return "quality"
    if entry.name in SPEED:
        return "speed"
    return "size" if entry.name in SIZE else "memory" if entry.name in MEMORY else None


def _situation(
    missed: frozenset[Missed], evidence: Evidence, recipe: Recipe, materials: Materials
) -> Situation:
    roles: tuple[Need, ...] = ("calibration", "training", "evaluation")
    data = frozenset(role for role in roles if getattr(materials.data, role) is not None)
    upload = materials.upload
    return Situation(
        recipe=recipe,
        missed=missed,
        data=data,
        operators=frozenset(layer.op for layer in evidence.report.layers),
        quantized=is_quantized(upload.normal_form),
        trainable="training" in data and _is_trainable(upload.float32),
        exact=TARGETS[machine_of(materials.options.features)].exact,
        one_graph=upload.package is None,
    )


def _is_trainable(model: ir.Model) -> bool:
    """Whether the engine knows all operators, and the first output is of real numbers."""
    from worker.compression.engine.coverage import function_of  # imports torch

    output = model.graph.outputs[0]
    if output.dtype is None or not output.dtype.is_floating_point():
        return False
    try:
        for node in model.graph:
            function_of(node, opset_of(model))
    except Refusal:
        return False
    return True


def body(recipe: Recipe, request: ClosedJob | None) -> dict[str, Any]:
    """Write the request that asks for this recipe, defaults left out; the recipe alone where no request is known."""
    if request is None:
        return {"recipe": recipe.model_dump(mode="json", exclude_defaults=True)}
    return request.model_copy(update={"recipe": recipe}).model_dump(mode="json", exclude_defaults=True)
