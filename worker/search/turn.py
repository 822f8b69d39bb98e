"""One turn of a search: from all of its rows to what is added and changed. Pure, so that a turn that was cut off is
done again with the same end.

    cancelled     ──▶ the best so far, once nothing runs any more
    a final       ──▶ nothing: it ends the job itself; where it failed, fewer candidates, then the end
    rungs         ──▶ who goes on, who stops
    room          ──▶ further trials
    in the air    ──▶ nothing: the end of each makes another turn
    else          ──▶ the final
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from app.storage.ids import new_id
from app.storage.records import Decision, Event, Trial
from winnow.contract.errors import Refusal
from worker.search import halving, report
from worker.search.asking import next_row
from worker.search.budget import is_spent, progress, room, seconds_left, time_is_up
from worker.search.choice import choose
from worker.search.plan import Plan
from worker.search.rows import in_the_air, is_skipped, trials, undecided

MOST_SKIPPED: Final = 50
"""So many recipes are ruled out in one turn, and the search is over."""

LOST: Final = Refusal(
    "worker_lost", "The final judgement of the search was stopped; retry the job."
).problem.model_dump(mode="json")

Changes = dict[str, dict[str, Any]]


def decide(
    plan: Plan, rows: Iterable[Trial], *, workers: int, now: float, cancelling: bool = False
) -> Decision:
    """Decide on the next trials, or on the end. `workers` are those alive that could run one."""
    rows = sorted(rows, key=lambda row: row.number)
    finals = [row for row in rows if row.role == "final" and row.created_at >= plan.started_at]
    if cancelling:
        return _cancel(plan, rows)
    if finals:
        return _after(plan, finals[-1], len(rows), now)
    change = _rungs(plan, rows, now)
    rows = [replace(row, **change.get(row.id, {})) for row in rows]
    add = _further(plan, rows, workers, now)
    events = [*_told_rungs(plan, rows, change, now), *(_event(plan, now, report.begun(row)) for row in add)]
    rows = [*rows, *add]
    if in_the_air(rows):
        left = seconds_left(plan, rows, workers, now)
        return Decision(add, change, {"progress": progress(plan, rows, now), "seconds_left": left}, events)
    return _finale(plan, rows, Decision(add, change, None, events), now)


def _rungs(plan: Plan, rows: list[Trial], now: float) -> Changes:
    """Who goes on; nobody when the time is up."""
    if not time_is_up(plan, rows, now):
        return halving.decide(plan, rows)
    waiting = [row for row in rows if row.state == "waiting"]
    return {row.id: {"state": "stopped_early"} for row in [*waiting, *undecided(rows)]}


def _further(plan: Plan, rows: list[Trial], workers: int, now: float) -> list[Trial]:
    add: list[Trial] = []
    while sum(map(is_skipped, add)) < MOST_SKIPPED and not is_spent(plan, [*rows, *add], now):
        if not room(plan, [*rows, *add], workers):
            break
        row = next_row(plan, [*rows, *add], len(rows) + len(add), now)
        if row is None:
            break
        add.append(row)
    return add


def _finale(plan: Plan, rows: list[Trial], so_far: Decision, now: float) -> Decision:
    choice = choose(plan, rows)
    final = _final(plan, choice.finalists, len(rows), now)
    words = report.sentences(plan, rows, choice, now)
    return Decision(
        add=[*so_far.add, final],
        change=so_far.change,
        job={"progress": progress(plan, rows, now), "seconds_left": None},
        events=[*so_far.events, *(_event(plan, now, text) for text in words)],
    )


def _after(plan: Plan, final: Trial, number: int, now: float) -> Decision:
    """A final that gave nothing is done again with its first candidate alone, and then no more."""
    if final.state not in ("failed", "stopped_early"):
        return Decision()
    if len(final.candidates) > 1:
        again = replace(_final(plan, [], number, now), recipe=final.recipe, candidates=final.candidates[:1])
        return Decision(
            add=[again], events=[_event(plan, now, "The final failed: its first candidate is judged alone.")]
        )
    return Decision(job={"state": "failed", "problem": final.problem or LOST})


def _cancel(plan: Plan, rows: list[Trial]) -> Decision:
    change: Changes = {row.id: {"state": "stopped_early"} for row in rows if row.state == "waiting"}
    if any(row.state == "running" for row in rows):
        return Decision(change=change)
    best = choose(plan, rows).finalists[:1]
    made = ("artifact_sha256", "artifact_bytes", "report_sha256", "graph_sha256")
    artifact = {name: getattr(row, name) for row in best for name in made}
    return Decision(change=change, job={"state": "cancelled", **artifact})


def _final(plan: Plan, finalists: list[Trial], number: int, now: float) -> Trial:
    return Trial(
        id=new_id("trl"),
        owner=plan.owner,
        job=plan.job,
        number=number,
        role="final",
        state="waiting",
        created_at=now,
        recipe=finalists[0].recipe if finalists else None,
        space=finalists[0].space if finalists else 0,
        params=finalists[0].params if finalists else {},
        candidates=[row.number for row in finalists],
    )


def _told_rungs(
    plan: Plan, rows: list[Trial], change: Mapping[str, dict[str, Any]], now: float
) -> list[Event]:
    return [
        _event(plan, now, report.decided(row, change[row.id])) for row in trials(rows) if row.id in change
    ]


def _event(plan: Plan, now: float, message: str) -> Event:
    return Event(job=plan.job, attempt=0, time=now, type="log", message=message)
