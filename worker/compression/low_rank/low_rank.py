"""`low_rank`: layers written as two or three smaller ones, by SVD, Tucker-2 or a spatial split, and tables as two.

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
from worker.compression.layers.input_moments import measurable
from worker.compression.low_rank.candidates import (
    NOMINAL_COSTS,
    Candidate,
    find_candidates,
    with_decision,
    with_options,
    with_reasons_of_first,
)
from worker.compression.low_rank.decompositions import Split
from worker.compression.low_rank.graph_surgery import factorise
from worker.compression.low_rank.input_drift import measure_drift, runs_for_one_pass
from worker.compression.low_rank.layer_study import (
    MAX_COVARIANCE_INPUTS,
    Factorisation,
    LayerStudy,
    observe_inputs,
)
from worker.compression.low_rank.rank_allocation import Measure, Option, allocate_ranks, cheapest
from worker.compression.low_rank.report import as_report, target_result
from worker.compression.low_rank.table_study import TableStudy, count_lookups
from worker.compression.low_rank.table_surgery import factorise_table
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import LayerDecision, refuse_quantized, why_not


def low_rank(model: ir.Model, step: LowRank, context: Context) -> StepResult:
    """Split layers into smaller ones, in place.

    Raises `Refusal` `already_quantized`, `nothing_to_compress`, `missing_data` and what `Observer` raises.
    """
    refuse_quantized(model)
    samples = _samples(step, context)
    candidates, counted = find_candidates(model, step, context.shapes or None)
    if samples is not None:
        studies = [candidate.study for candidate in candidates if candidate.study is not None]
        is_measurable = measurable(model)
        layers = [s for s in studies if isinstance(s, LayerStudy) and is_measurable(s.layer)]
        count_lookups(model, [study for study in studies if isinstance(study, TableStudy)], samples)
        observe_inputs(
            model, layers, samples, context.scratch, lambda done: context.progress.advance(done / 2)
        )
    candidates = _with_decisions([with_options(candidate, step) for candidate in candidates], step)
    tasks = [(c.study, c.chosen.split) for c in candidates if c.study and c.chosen and c.chosen.split]
    if not any(candidate.study for candidate in candidates):
        raise _nothing_to_compress(model, candidates)
    factorisations = _replace_layers(
        model, tasks, samples, lambda done: context.progress.advance((1 + done) / 2)
    )
    details = {"data_aware": samples is not None, "samples": 0 if samples is None else len(samples)}
    details |= as_report(candidates, factorisations, counted)
    return StepResult(
        model,
        sum(each.reason is None for each in candidates),
        len(candidates),
        _notes(model, candidates, samples, counted),
        details,
        target_result(step, candidates),
    )


def _samples(step: LowRank, context: Context) -> Samples | None:
    """Draw the samples to fit to; None where the weights alone are fitted."""
    if step.data_aware is False or (step.data_aware is None and context.calibration is None):
        return None
    return context.draw_calibration("low_rank with data_aware", step.samples)


def _with_decisions(candidates: Sequence[Candidate], step: LowRank) -> list[Candidate]:
    """Choose an option of each candidate that has some, with the reason where it stays as it is."""
    able = [candidate for candidate in candidates if candidate.options]
    options = iter(_chosen_options(able, step))
    return with_reasons_of_first(
        [with_decision(c, next(options), step) if c.options else c for c in candidates]
    )


def _chosen_options(able: Sequence[Candidate], step: LowRank) -> list[Option]:
    match step.rank:
        case "energy":
            return [cheapest(each.options, _measure(each), 1 - step.energy) for each in able]
        case "vbmf":
            return [cheapest(each.options, _measure(each)) for each in able]
    layers = [each.options for each in able]
    before = [getattr(options[0].cost, step.rank) for options in layers]
    budget = sum(before) * (1 - step.amount)
    return allocate_ranks(layers, budget, lambda cost: int(getattr(cost, step.rank)))


def _measure(candidate: Candidate) -> Measure:
    """What is to be least where no target says it: multiplications, of a table numbers."""
    is_table = isinstance(candidate.study, TableStudy)
    return (lambda cost: cost.parameters) if is_table else (lambda cost: cost.macs)


def _replace_layers(
    model: ir.Model,
    tasks: Sequence[tuple[LayerStudy | TableStudy, Split]],
    samples: Samples | None,
    report_progress: Callable[[float], None],
) -> dict[ir.Node, Factorisation]:
    """Replace the tables, then the layers in order: with data, each by what answers the inputs that those before it
    leave."""
    original, names = model.clone(), Names(model)
    splits = {s.layer: (s, split) for s, split in tasks if isinstance(s, LayerStudy)}
    factorisations: dict[ir.Node, Factorisation] = {}
    for study, split in tasks:
        if isinstance(study, TableStudy):
            factorisations[study.table.readers[0]] = new = study.factorised(split)
            factorise_table(study.table, new.parts, names)
    for run in runs_for_one_pass(list(splits)):
        measured = [layer for layer in run if splits[layer][0].inputs is not None]
        drifts = measure_drift(original, model, measured, samples) if samples is not None and measured else []
        drift_of = dict(zip(measured, drifts, strict=False))
        for layer in run:
            study, split = splits[layer]
            factorisations[layer.node] = new = study.factorised(split, drift_of.get(layer))
            factorise(layer, split, new.parts, new.bias, names)
        report_progress(len(factorisations) / len(tasks))
    return factorisations


def _nothing_to_compress(model: ir.Model, candidates: list[Candidate]) -> Refusal:
    wanted = "Conv, Gemm or MatMul whose parts have fewer multiplications than the whole, and tables of fewer numbers"
    return Refusal("nothing_to_compress", f"low_rank looks for {wanted}; {_why_unchanged(model, candidates)}")


def _why_unchanged(model: ir.Model, candidates: list[Candidate]) -> str:
    return why_not(model, [LayerDecision(candidate.node, candidate.reason) for candidate in candidates])


def _notes(model: ir.Model, candidates: list[Candidate], samples: Samples | None, counted: bool) -> list[str]:
    notes = [] if counted else [NOMINAL_COSTS]
    if not any(candidate.chosen and candidate.chosen.split for candidate in candidates):
        notes.append(f"The model stays as it was: {_why_unchanged(model, candidates)}")
    wide = [c.node.name for c in candidates if c.study is not None and not c.study.is_fitted_to_data]
    if samples is not None and wide:
        listed = ", ".join(map(str, wide))
        notes.append(
            f"More than {MAX_COVARIANCE_INPUTS} inputs: fitted to the weights alone, not on data: {listed}."
        )
    return notes
