"""Which tables a step may take rows out of, and what it is refused for before any work."""

from collections.abc import Iterable, Sequence

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import VocabularyPruning
from worker.compression.graph.tables.find import Table, find_tables
from worker.compression.ir.naming import excluded
from worker.compression.steps.eligibility import EXCLUDED, NOT_FINITE, is_finite
from worker.compression.vocabulary_pruning.heads import Head, adds_computed, find_heads, passed_on


def looked_up_tables(model: ir.Model) -> list[Table]:
    """List the tables that inputs of the model are looked up in. Raises `nothing_to_compress` where there is none."""
    tables = find_tables(model)
    if words := [table for table in tables if table.inputs]:
        return words
    computed = ", ".join(f"{table.name!r} [{table.shape[0]}, {table.shape[1]}]" for table in tables[:4])
    raise Refusal(
        "nothing_to_compress",
        "The model has no table that an input is looked up in: no Gather with float32 rows, the numbers of which an "
        "input gives. "
        + (f"What {computed} are looked up by is computed, as positions are. " if tables else "")
        + "Leave the step out.",
        field="recipe.steps",
    )


def why_pinned(table: Table, step: VocabularyPruning) -> str | None:
    """Say as a clause what keeps all rows of a table, None where nothing does that the graph shows."""
    if any(excluded(node, step.exclude) for node in (*table.gathers, *table.products)):
        return EXCLUDED
    for product in table.products:
        if adds_computed(product, table.shape[0]):
            return f"{product.op_type} {product.name!r} adds computed numbers to its logits"
    return table.pinned or (None if is_finite(table.weight) else NOT_FINITE)


def check_vocabulary(model: ir.Model, step: VocabularyPruning) -> None:
    """Refuse before any work what the graph alone rules out.

    Raises `nothing_to_compress` where no table can lose rows; `invalid_request` where ids are outside of all of them,
    or short logits are asked for and others than the model's outputs read them.
    """
    tables = looked_up_tables(model)
    free = [table for table in tables if why_pinned(table, step) is None]
    if not free:
        raise nothing_to_prune(tables, [why_pinned(table, step) for table in tables])
    largest = max(free, key=lambda table: table.ids)
    check_ids(step, [largest])
    if step.head == "short":
        check_short(model, [head for table in free for head in find_heads(model, table)])


def nothing_to_prune(tables: Sequence[Table], reasons: Iterable[str | None]) -> Refusal:
    """Refuse a model none of whose tables can lose rows, with the reasons."""
    named = "; ".join(f"{table.name}: {reason}" for table, reason in zip(tables, reasons, strict=True))
    return Refusal(
        "nothing_to_compress",
        f"None of the {len(tables)} tables that inputs are looked up in can lose rows ({named}).",
        field="recipe.steps",
    )


def check_ids(step: VocabularyPruning, tables: Iterable[Table]) -> None:
    """Check that `fallback_id` and `keep` are ids of each of these tables. Raises `invalid_request`."""
    for table in tables:
        asked_for = [("fallback_id", step.fallback_id)] if step.fallback_id is not None else []
        asked_for += [("keep", stop - 1) for _, stop in step.ranges]
        for name, number in asked_for:
            if number is not None and number >= table.ids:
                raise Refusal(
                    "invalid_request",
                    f"{name} has the id {number}, and table {table.name!r} (input {', '.join(table.inputs)}) has "
                    f"{table.ids} ids, 0 to {table.ids - 1}. Choose one of these, or name the table in `exclude`.",
                    field="recipe.steps",
                )


def check_short(model: ir.Model, heads: Iterable[Head]) -> None:
    """Check that the logits of these heads are outputs of the model. Raises `invalid_request`."""
    for head in heads:
        _, reader = passed_on(model, head.logits)
        if reader is not None:
            raise Refusal(
                "invalid_request",
                f'head "short" leaves out logits of {head.product.name!r}, and {reader.op_type} {reader.name!r} reads '
                'all of them. Set head to "full".',
                field="recipe.steps",
                layer=reader.name,
            )
