"""`low_rank`: layers written as two or three smaller ones, by SVD, Tucker-2 or a spatial split.

A layer's outputs are fitted on calibration data, or its weights where there is none (`layerwise.reduced_rank`); ranks
follow from the energy that is kept, from a target that is spread over the layers (`layerwise.allocation`), or from the
noise in the weights (`layerwise.vbmf`). A layer becomes nothing that has not fewer multiplications.
"""

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from app.contract.errors import Refusal
from app.contract.recipe import LowRank
from worker.compression.data.samples import Samples
from worker.compression.layerwise.allocation import Option, cheapest, spread
from worker.compression.layerwise.study import WIDEST, Fitted, observe
from worker.compression.techniques.account import Layer, refuse_quantized, why_not
from worker.compression.techniques.context import Changed, Context
from worker.compression.techniques.factors import factorise
from worker.compression.techniques.low_rank_account import rows, saved, target
from worker.compression.techniques.low_rank_layers import NOMINAL, Case, cases, looked_at
from worker.compression.techniques.naming import Names


def low_rank(model: ir.Model, step: LowRank, context: Context) -> Changed:
    """Raises `Refusal` `already_quantized`, `nothing_to_compress`, `missing_data` and what `Observer` raises."""
    refuse_quantized(model)
    samples = _samples(step, context)
    found, counted = cases(model, step, _shapes(samples))
    if samples is not None:
        studies = [case.study for case in found if case.study is not None]
        observe(model, studies, samples, context.scratch, context.progress.advance)
    found = [looked_at(case, step) for case in found]
    able = [case for case in found if case.options]
    chosen = dict(zip([case.node for case in able], _chosen(able, step), strict=True))
    names = Names(model)
    made = {
        case.node: (option, _made(case, option, names))
        for case in able
        if (option := chosen[case.node]).split is not None
    }
    found = [
        case if case.node in made else replace(case, reason=case.reason or _kept(step)) for case in found
    ]
    if not made:
        raise _nothing(model, found)
    able_costs = [(case.options[0].cost, chosen[case.node].cost) for case in able]
    touched = [pair for pair in able_costs if pair[0] != pair[1]]
    return Changed(
        model,
        len(made),
        len(found),
        _notes(found, samples, counted),
        {
            "data_aware": samples is not None,
            "samples": 0 if samples is None else len(samples),
            "able": saved(able_costs, counted),
            "touched": saved(touched, counted),
            "layers": rows(found, made, counted),
        },
        target(step, able_costs),
    )


def _samples(step: LowRank, context: Context) -> Samples | None:
    """None where the weights alone are fitted."""
    if step.data_aware is False or (step.data_aware is None and context.calibration is None):
        return None
    if context.calibration is None:
        detail = "low_rank with data_aware needs calibration data."
        raise Refusal("missing_data", detail, field="data.calibration")
    return context.calibration.draw(step.samples, context.seed)


def _shapes(samples: Samples | None) -> dict[str, list[int]] | None:
    if samples is None:
        return None
    return {name: list(x.shape) for name, x in next(samples.take(1).batches(1)).items()}


def _chosen(able: Sequence[Case], step: LowRank) -> list[Option]:
    match step.rank:
        case "energy":
            return [cheapest(case.options, 1 - step.energy) for case in able]
        case "vbmf":
            return [cheapest(case.options) for case in able]
    before = [getattr(case.options[0].cost, step.rank) for case in able]
    budget = sum(before) * (1 - step.amount)
    return spread([case.options for case in able], budget, lambda cost: int(getattr(cost, step.rank)))


def _made(case: Case, option: Option, names: Names) -> Fitted:
    assert case.study is not None
    assert option.split is not None
    fitted = case.study.fitted(option.split)
    factorise(case.study.layer, fitted.split, fitted.parts, fitted.bias, names)
    return fitted


def _kept(step: LowRank) -> str:
    if step.rank == "energy":
        return f"keeping {step.energy:g} of the energy takes ranks that save nothing"
    return "the target is reached without it"


def _nothing(model: ir.Model, found: list[Case]) -> Refusal:
    left = why_not(model, [Layer(case.node, case.reason) for case in found])
    wanted = "Conv, Gemm or MatMul whose parts have fewer multiplications than the whole"
    return Refusal("nothing_to_compress", f"low_rank looks for {wanted}; {left}")


def _notes(found: list[Case], samples: Samples | None, counted: bool) -> list[str]:
    notes = [] if counted else [NOMINAL]
    wide = [case.node.name for case in found if case.study is not None and case.study.seen is None]
    if samples is not None and wide:
        listed = ", ".join(map(str, wide))
        notes.append(f"More than {WIDEST} inputs: fitted to the weights alone, not on data: {listed}.")
    return notes
