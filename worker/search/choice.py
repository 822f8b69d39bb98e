"""Which trial wins. One order for all of them, the upload included:

    what it violates, what it harms, what it costs by the objective, its size, its steps, its number

Nothing is handed over that is worse than the upload: where that meets everything itself, a trial has to meet it too,
and to be better.

Of those that meet what is required on the selection part, those worth most go into the final, which may refuse them:

    worth = chance that the final confirms it · ln(cost of the upload / its cost)

There the surest is judged first, and while they hold the next that costs less
(`worker/compression/tasks/final.py`, 0045).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, inf
from typing import Final, Literal

from app.storage.records import Trial
from worker.search.baseline import harm_of, is_better_than_upload, upload_cost, upload_meets
from worker.search.measured import Result, chance, cost, gain, is_sure, speedup_interval, violation
from worker.search.plan import Plan
from worker.search.rows import complete, trials

MOST_FINALISTS: Final = 3

Key = tuple[float, float, float, float, int, int]


@dataclass(frozen=True)
class Choice:
    """`best` meets everything, `closest` does not and nothing does, `upload`: nothing is better. `finalists` go into
    the final, the surest first; none where it is the upload."""

    kind: Literal["best", "closest", "upload"]
    finalists: list[Trial]


def choose(plan: Plan, rows: Iterable[Trial]) -> Choice:
    """Choose what goes into the final."""
    ranked = rank(plan, complete(trials(rows)))
    meeting = [row for row in ranked if violation(_result(row)) == 0]
    if upload_meets(plan, ranked):
        better = [row for row in meeting if is_better_than_upload(plan, _result(row))]
        known = upload_cost(plan, map(_result, meeting))
        return Choice("best", _finalists(plan, better, known)) if better else Choice("upload", [])
    if meeting:
        return Choice("best", _finalists(plan, meeting, None))
    return Choice("closest", ranked[:1]) if ranked else Choice("upload", [])


def best_cost(plan: Plan, rows: Iterable[Trial]) -> float | None:
    """What the best so far costs that surely meets everything and harms nothing, the upload included; None without
    any."""
    ended = complete(trials(rows))
    sure = [row for row in ended if is_sure(_result(row)) and harm_of(plan, _result(row)) == 0]
    costs = [price for row in sure if (price := cost(_result(row), plan.objective)) is not None]
    upload = upload_cost(plan, map(_result, ended)) if upload_meets(plan, ended) else None
    return min([*costs, *([] if upload is None else [upload])], default=None)


def rank(plan: Plan, rows: Iterable[Trial]) -> list[Trial]:
    """Sort finished trials, the best first."""
    return sorted(rows, key=lambda row: key_of(plan, row))


def key_of(plan: Plan, row: Trial) -> Key:
    result = _result(row)
    price = cost(result, plan.objective)
    steps = len((row.recipe or {"steps": []})["steps"])
    return (
        violation(result),
        harm_of(plan, result),
        inf if price is None else price,
        float(result["size_bytes"]),
        steps,
        row.number,
    )


def _finalists(plan: Plan, ranked: list[Trial], upload: float | None) -> list[Trial]:
    """Of those that harm least and that no other beats, those worth most, each graph once.

    `upload` is what the upload costs; None where that is not known, or where it misses something itself: the dearest
    stands for it then, and to be accepted at all counts as much as e times less.
    """
    if plan.objective == "quality":
        return ranked[:1]
    least = min(harm_of(plan, _result(row)) for row in ranked)
    rows = [row for row in ranked if harm_of(plan, _result(row)) == least]
    graphs = {row.graph_sha256 or row.id: row for row in reversed(rows)}
    rows = [row for row in rows if graphs[row.graph_sha256 or row.id] is row]
    prices = {row.id: key_of(plan, row)[2] for row in rows}
    before = upload or exp(1) * max((price for price in prices.values() if price < inf), default=1.0)

    def worth(row: Trial) -> float:
        return chance(_result(row)) * gain(before, prices[row.id])

    unbeaten = [row for row in rows if not any(_beats(plan, other, row) for other in rows)]
    most = sorted(unbeaten, key=worth, reverse=True)[:MOST_FINALISTS]
    return sorted(most, key=lambda row: (-chance(_result(row)), key_of(plan, row)))


def _beats(plan: Plan, row: Trial, other: Trial) -> bool:
    """Whether it is as sure, and goes first by its cost also after a longer timing."""
    if chance(_result(row)) < chance(_result(other)):
        return False
    if plan.objective == "latency":
        mine, its = speedup_interval(_result(row)), speedup_interval(_result(other))
        return mine is not None and (its is None or mine[0] > its[1])
    return not plan.asks_for_time and key_of(plan, row) < key_of(plan, other)


def _result(row: Trial) -> Result:
    return row.result or {}
