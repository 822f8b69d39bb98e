"""Reports what `low_rank` did to each layer, what that saved, and whether the target was reached."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from winnow.contract.recipe import LowRank
from winnow.contract.report import RequirementResult
from worker.compression.low_rank.candidates import Candidate
from worker.compression.low_rank.decompositions import Cost
from worker.compression.low_rank.layer_study import Factorisation

ROUNDING = 1e-9


def as_report(
    candidates: Sequence[Candidate], factorisations: Mapping[ir.Node, Factorisation], counted: bool
) -> dict[str, Any]:
    """Sum up the costs of `able` layers, which have a split that saves something, and of `touched` ones; list each.

    Pairs are before and after. Multiplications are null where the shapes are not known (not `counted`).
    """
    pairs = _costs(candidates)
    return {
        "able": _saved(pairs, counted),
        "touched": _saved([pair for pair in pairs if pair[0] != pair[1]], counted),
        "layers": [_row(each, factorisations.get(each.node), counted) for each in candidates],
    }


def _costs(candidates: Sequence[Candidate]) -> list[tuple[Cost, Cost]]:
    return [(each.options[0].cost, each.chosen.cost) for each in candidates if each.chosen is not None]


def _saved(pairs: Sequence[tuple[Cost, Cost]], counted: bool) -> dict[str, Any]:
    sums: dict[str, Any] = {name: _sums(pairs, name) for name in ("macs", "parameters")}
    return {"layers": len(pairs), **sums} | ({} if counted else {"macs": None})


def _sums(pairs: Sequence[tuple[Cost, Cost]], name: str) -> list[int]:
    return [sum(getattr(pair[at], name) for pair in pairs) for at in (0, 1)]


def _row(candidate: Candidate, new: Factorisation | None, counted: bool) -> dict[str, Any]:
    node, study = candidate.node, candidate.study
    row: dict[str, Any] = {"name": node.name, "op": node.op_type, "reason": candidate.reason}
    if candidate.weight_of is not None:
        row["weight_of"] = candidate.weight_of
    if study is None:
        return row
    before = study.geometry.cost
    after = before if candidate.chosen is None else candidate.chosen.cost
    row["macs"] = [before.macs, after.macs] if counted else None
    row["parameters"] = [before.parameters, after.parameters]
    if new is None:
        return row
    return row | {
        "how": new.split.kind,
        "ranks": list(new.split.ranks),
        "fitted": "outputs" if study.is_fitted_to_data else "weights",
        "error": round(new.error, 6),
    }


def target_result(step: LowRank, candidates: Sequence[Candidate]) -> list[RequirementResult]:
    """Say whether the step's target was reached; nothing where ranks follow from no target."""
    if step.rank not in ("macs", "parameters"):
        return []
    pairs = _costs(candidates)
    before, after = _sums(pairs, step.rank)
    share = 1 - after / before if before else 0.0
    met = share >= step.amount - ROUNDING
    why = (
        f"The {len(pairs)} layers that low_rank can factorise have {before} {step.rank}; with the smallest ranks "
        f"{after} are left. So {share:.4f} can go, and {step.amount:g} was asked. Ask for less, or exclude fewer "
        "layers."
    )
    return [
        RequirementResult(
            name=f"low_rank.{step.rank}",
            asked=step.amount,
            measured=share,
            interval=None,
            met=met,
            why=None if met else why,
        )
    ]
