"""What `low_rank` did to each layer, what that saved, and whether the target was reached."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from winnow.contract.recipe import LowRank
from winnow.contract.report import RequirementResult
from worker.compression.low_rank.candidates import Case
from worker.compression.low_rank.decompositions import Cost
from worker.compression.low_rank.layer_study import Fitted

ROUNDING = 1e-9


def account(cases: Sequence[Case], fitted: Mapping[ir.Node, Fitted], counted: bool) -> dict[str, Any]:
    """Of `able` layers, which have a split that saves something, of `touched` ones, and of each.

    Pairs are before and after. Multiplications are null where the shapes are not known (not `counted`).
    """
    pairs = _costs(cases)
    return {
        "able": _saved(pairs, counted),
        "touched": _saved([pair for pair in pairs if pair[0] != pair[1]], counted),
        "layers": [_row(case, fitted.get(case.node), counted) for case in cases],
    }


def _costs(cases: Sequence[Case]) -> list[tuple[Cost, Cost]]:
    return [(case.options[0].cost, case.chosen.cost) for case in cases if case.chosen is not None]


def _saved(pairs: Sequence[tuple[Cost, Cost]], counted: bool) -> dict[str, Any]:
    sums: dict[str, Any] = {name: _sums(pairs, name) for name in ("macs", "parameters")}
    return {"layers": len(pairs), **sums} | ({} if counted else {"macs": None})


def _sums(pairs: Sequence[tuple[Cost, Cost]], name: str) -> list[int]:
    return [sum(getattr(pair[at], name) for pair in pairs) for at in (0, 1)]


def _row(case: Case, fitted: Fitted | None, counted: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"name": case.node.name, "op": case.node.op_type, "reason": case.reason}
    if case.study is None:
        return row
    before = case.study.geometry.cost
    after = before if case.chosen is None else case.chosen.cost
    row["macs"] = [before.macs, after.macs] if counted else None
    row["parameters"] = [before.parameters, after.parameters]
    if fitted is None:
        return row
    return row | {
        "how": fitted.split.way,
        "ranks": list(fitted.split.ranks),
        "fitted": "weights" if case.study.seen is None else "outputs",
        "error": round(fitted.error, 6),
    }


def target(step: LowRank, cases: Sequence[Case]) -> list[RequirementResult]:
    """Of ranks that follow from a share."""
    if step.rank not in ("macs", "parameters"):
        return []
    pairs = _costs(cases)
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
