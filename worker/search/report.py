"""What a search has to say, in sentences."""

from collections.abc import Iterable
from typing import Any

from app.storage.records import Trial
from winnow.contract.open_steps import OpenRecipe
from winnow.contract.spaces import Dimension, dimensions
from worker.search.budget import only_failures, spent, time_is_up
from worker.search.choice import Choice
from worker.search.plan import Plan
from worker.search.rows import PREDICTED, complete, is_refused, is_skipped, trials


def sentences(plan: Plan, rows: Iterable[Trial], choice: Choice, now: float) -> list[str]:
    """Tell what was searched, what was run, why it ended (when its final was made, else now) and what decided."""
    rows = list(rows)
    over = max((row.created_at for row in rows if row.role == "final"), default=now)
    rows = trials(rows)
    return [*spaces(plan), tally(rows), *why_over(plan, rows, over), what_decided(plan, choice)]


def spaces(plan: Plan) -> list[str]:
    """Name each space and what is open in it."""
    return [
        f"Space {index}: {_space(space.recipe)}. It is tried because: {space.why}."
        for index, space in enumerate(plan.spaces)
    ]


def tally(rows: list[Trial]) -> str:
    """Count the trials by how they ended."""
    stopped = [row for row in rows if row.state == "stopped_early" and not is_skipped(row)]
    refused = sum(map(is_refused, rows))
    counts = [
        (len(complete(rows)), "done"),
        (len(stopped), "stopped early"),
        (sum(row.state == "failed" for row in rows) - refused, "failed"),
        (refused, "not run because they would be refused as jobs"),
        (sum(map(is_skipped, rows)) - refused, "not run because of their predicted size"),
    ]
    parts = [f"{number} {how}" for number, how in counts if number]
    return f"Trials: {', '.join(parts) or 'none'}."


def why_over(plan: Plan, rows: list[Trial], now: float) -> list[str]:
    """Say what ended the search."""
    if only_failures(plan, rows):
        return [f"It ended after {spent(plan, rows)} trials, all of which failed: {_problem(rows)}."]
    if time_is_up(plan, rows, now):
        return [f"It ended with its {plan.budget.seconds} seconds."]
    if plan.budget.trials is not None and spent(plan, rows) >= plan.budget.trials:
        return [f"It ended with its {plan.budget.trials} trials."]
    return ["It ended before its budget: nothing was left that would have been worth a trial."]


def what_decided(plan: Plan, choice: Choice) -> str:
    """Say what goes into the final, and by which rule."""
    numbers = ", ".join(str(row.number) for row in choice.finalists)
    match choice.kind:
        case "upload":
            return "Nothing was better than the upload: the result is the upload, tidied."
        case "closest":
            return f"Nothing met the requirements on the selection part; trial {numbers} came closest."
        case "best" if len(choice.finalists) > 1:
            return (
                f"Trials {numbers} are the best by {plan.objective} of those that meet what is required: the "
                "final judges the surest first, then, while they hold, each that costs less."
            )
        case "best":
            return (
                f"Trial {numbers} is the best by {plan.objective} of those that meet what is required and will likely "
                "meet it on the final part."
            )


def begun(row: Trial) -> str:
    """Say what a new trial tries."""
    values = ", ".join(f"{path.partition('.')[2]} {value}" for path, value in row.params.items())
    if is_refused(row) and row.problem is not None:
        return f"Trial {row.number} ({values}) is not run: {row.problem['detail']}"
    if row.result is not None:
        predicted = row.result[PREDICTED]
        return f"Trial {row.number} ({values}) is not run: {predicted:,} bytes are predicted, too many."
    share = "" if row.share == 1 else f" on {row.share:.0%} of its epochs"
    return f"Trial {row.number} tries space {row.space}{f' at {values}' if values else ''}{share}."


def decided(row: Trial, changes: dict[str, Any]) -> str:
    """Say whether a trial goes on."""
    if changes["state"] == "waiting":
        return f"Trial {row.number} goes on to {changes['share']:.0%} of its epochs."
    return f"Trial {row.number} is stopped early."


def _space(space: OpenRecipe) -> str:
    steps = ", then ".join(step.kind for step in space.steps)
    open = "; ".join(
        f"{dimension.path.partition('.')[2]} {_range(dimension)}" for dimension in dimensions(space)
    )
    return f"{steps}, open: {open}" if open else f"{steps}, nothing open"


def _range(dimension: Dimension) -> str:
    if dimension.choices:
        return " or ".join(map(str, dimension.choices))
    return f"from {dimension.low:g} to {dimension.high:g}"


def _problem(rows: list[Trial]) -> str:
    details = [str(row.problem["detail"]).rstrip(".") for row in rows if row.problem]
    return max(sorted(set(details)), key=details.count, default="nothing is known of why")
