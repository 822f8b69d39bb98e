"""What `low_rank` did to each layer, what that saved, and whether the target was reached."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from app.contract.recipe import LowRank
from app.contract.report import RequirementResult
from worker.compression.layerwise.allocation import Option
from worker.compression.layerwise.splits import Cost
from worker.compression.layerwise.study import Fitted
from worker.compression.techniques.low_rank_layers import Case

ROUNDING = 1e-9


def rows(
    cases: Sequence[Case], made: Mapping[ir.Node, tuple[Option, Fitted]], counted: bool
) -> list[dict[str, Any]]:
    """One for each layer. Multiplications are null where the shapes are not known (`counted`)."""
    return [_row(case, made.get(case.node), counted) for case in cases]


def _row(case: Case, made: tuple[Option, Fitted] | None, counted: bool) -> dict[str, Any]:
    before = None if case.study is None else case.study.geometry.cost
    row: dict[str, Any] = {"name": case.node.name, "op": case.node.op_type, "reason": case.reason}
    if before is None:
        return row
    after = before if made is None else made[0].cost
    row |= {
        "macs": [before.macs, after.macs] if counted else None,
        "parameters": [before.parameters, after.parameters],
    }
    if made is None or case.study is None:
        return row
    fitted = made[1]
    return row | {
        "how": fitted.split.way,
        "ranks": list(fitted.split.ranks),
        "fitted": "weights" if case.study.seen is None else "outputs",
        "error": round(fitted.error, 6),
    }


def saved(pairs: Sequence[tuple[Cost, Cost]], counted: bool) -> dict[str, Any]:
    """Before and after, over layers."""
    sums = {
        name: [sum(getattr(pair[at], name) for pair in pairs) for at in (0, 1)]
        for name in ("macs", "parameters")
    }
    return {"layers": len(pairs), **sums} | ({} if counted else {"macs": None})


def target(step: LowRank, pairs: Sequence[tuple[Cost, Cost]]) -> list[RequirementResult]:
    """Of the ranks that follow from a share."""
    if step.rank not in ("macs", "parameters"):
        return []
    before, after = (sum(getattr(pair[at], step.rank) for pair in pairs) for at in (0, 1))
    share = 1 - after / before
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
