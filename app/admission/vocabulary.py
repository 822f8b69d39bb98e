"""Can a step take words out: has the model a table that an input is looked up in, and are the ids of the step in it?"""

from app.admission.model_state import ModelState
from winnow.contract.errors import Refusal
from winnow.contract.glob import matches_any
from winnow.contract.recipe import VocabularyPruning


def check_vocabulary(index: int, step: VocabularyPruning, state: ModelState) -> None:
    """Raises `nothing_to_compress`, `invalid_request`. Which tables hold positions only the data tells.

    Nothing is known of the tables of a model that was inspected before they were looked for.
    """
    tables = state.facts.tables
    if tables is None:
        return
    where = f"recipe.steps.{index}"
    if not tables:
        detail = (
            f"{state.model} has no table that an input is looked up in: no Gather with float rows, the numbers of "
            "which an input gives. Leave the step out."
        )
        raise Refusal("nothing_to_compress", detail, field=f"{where}.kind")
    reasons = {each.name: "excluded" if _is_excluded(each.name, step) else each.pinned for each in tables}
    free = [each for each in tables if reasons[each.name] is None]
    if not free:
        named = "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:4])
        detail = f"None of the {len(tables)} tables that inputs are looked up in can lose rows ({named})."
        raise Refusal("nothing_to_compress", detail, field=f"{where}.kind")
    largest = max(free, key=lambda each: each.ids)
    asked_for = [("keep", stop - 1) for _, stop in step.ranges]
    if step.fallback_id is not None:
        asked_for.append(("fallback_id", step.fallback_id))
    for name, number in asked_for:
        if number >= largest.ids:
            raise Refusal(
                "invalid_request",
                f"{name} has the id {number}, and the largest table, {largest.name!r} (input "
                f"{', '.join(largest.inputs)}), has {largest.ids} ids, 0 to {largest.ids - 1}.",
                field=f"{where}.{name}",
            )


def _is_excluded(table: str, step: VocabularyPruning) -> bool:
    return matches_any(table, step.exclude)
