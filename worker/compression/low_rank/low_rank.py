"""`low_rank`: layers written as two or three smaller ones, by SVD, Tucker-2 or a spatial split.

A layer's outputs are fitted on calibration data, or its weights where there is none (`reduced_rank`); ranks
follow from the energy that is kept, from a target that is spread over the layers (`rank_allocation`), or from the
noise in the weights (`vbmf`). Layer after layer, what is lost before one is made up for (`input_drift`).
A layer becomes nothing that has not fewer multiplications.
"""

from collections.abc import Callable, Sequence

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import LowRank
from worker.compression.data.samples import Samples
from worker.compression.ir.naming import Names
from worker.compression.low_rank.candidates import NOMINAL, Case, cases, decided, looked_at
from worker.compression.low_rank.decompositions import Split
from worker.compression.low_rank.graph_surgery import factorise
from worker.compression.low_rank.input_drift import drift, together
from worker.compression.low_rank.layer_study import WIDEST, Fitted, Study, observe
from worker.compression.low_rank.rank_allocation import Option, cheapest, spread
from worker.compression.low_rank.report import account, target
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import LayerDecision, refuse_quantized, why_not


def low_rank(model: ir.Model, step: LowRank, context: Context) -> StepResult:
    """Raises `Refusal` `already_quantized`, `nothing_to_compress`, `missing_data` and what `Observer` raises."""
    refuse_quantized(model)
    samples = _samples(step, context)
    found, counted = cases(model, step, context.shapes or None)
    if samples is not None:
        studies = [case.study for case in found if case.study is not None]
        observe(model, studies, samples, context.scratch, lambda done: context.progress.advance(done / 2))
    found = _chosen([looked_at(case, step) for case in found], step)
    tasks = [
        (case.study, case.chosen.split) for case in found if case.study and case.chosen and case.chosen.split
    ]
    if not any(case.study for case in found):
        raise _nothing(model, found)
    fitted = _replaced(model, tasks, samples, lambda done: context.progress.advance((1 + done) / 2))
    details = {"data_aware": samples is not None, "samples": 0 if samples is None else len(samples)}
    details |= account(found, fitted, counted)
    return StepResult(
        model, len(fitted), len(found), _notes(model, found, samples, counted), details, target(step, found)
    )


def _samples(step: LowRank, context: Context) -> Samples | None:
    """None where the weights alone are fitted."""
    if step.data_aware is False or (step.data_aware is None and context.calibration is None):
        return None
    if context.calibration is None:
        detail = "low_rank with data_aware needs calibration data."
        raise Refusal("missing_data", detail, field="data.calibration")
    return context.calibration.draw(step.samples, context.seed)


def _chosen(found: Sequence[Case], step: LowRank) -> list[Case]:
    """With one option for each case that has some, and a reason where it is to stay what it is."""
    able = [case for case in found if case.options]
    options = iter(_options(able, step))
    return [decided(case, next(options), step) if case.options else case for case in found]


def _options(able: Sequence[Case], step: LowRank) -> list[Option]:
    match step.rank:
        case "energy":
            return [cheapest(case.options, 1 - step.energy) for case in able]
        case "vbmf":
            return [cheapest(case.options) for case in able]
    before = [getattr(case.options[0].cost, step.rank) for case in able]
    budget = sum(before) * (1 - step.amount)
    return spread([case.options for case in able], budget, lambda cost: int(getattr(cost, step.rank)))


def _replaced(
    model: ir.Model,
    tasks: Sequence[tuple[Study, Split]],
    samples: Samples | None,
    told: Callable[[float], None],
) -> dict[ir.Node, Fitted]:
    """Replace the layers, in order: with data, each by what answers the inputs that those before it leave."""
    original, names = model.clone(), Names(model)
    splits = {study.layer: (study, split) for study, split in tasks}
    fitted: dict[ir.Node, Fitted] = {}
    for part in together(list(splits)):
        seen = [layer for layer in part if splits[layer][0].seen is not None]
        found = drift(original, model, seen, samples) if samples is not None and seen else []
        moved = dict(zip(seen, found, strict=False))
        for layer in part:
            study, split = splits[layer]
            fitted[layer.node] = made = study.fitted(split, moved.get(layer))
            factorise(layer, split, made.parts, made.bias, names)
        told(len(fitted) / len(tasks))
    return fitted


def _nothing(model: ir.Model, found: list[Case]) -> Refusal:
    wanted = "Conv, Gemm or MatMul whose parts have fewer multiplications than the whole"
    return Refusal("nothing_to_compress", f"low_rank looks for {wanted}; {_left(model, found)}")


def _left(model: ir.Model, found: list[Case]) -> str:
    return why_not(model, [LayerDecision(case.node, case.reason) for case in found])


def _notes(model: ir.Model, found: list[Case], samples: Samples | None, counted: bool) -> list[str]:
    notes = [] if counted else [NOMINAL]
    if not any(case.chosen and case.chosen.split for case in found):
        notes.append(f"The model stays as it was: {_left(model, found)}")
    wide = [case.node.name for case in found if case.study is not None and case.study.seen is None]
    if samples is not None and wide:
        listed = ", ".join(map(str, wide))
        notes.append(f"More than {WIDEST} inputs: fitted to the weights alone, not on data: {listed}.")
    return notes
