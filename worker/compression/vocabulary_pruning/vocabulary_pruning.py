"""`vocabulary_pruning`: rows of embedding tables that no id of the data looks up go out of the file.

    Gather(table [rows, width], ids)  →  Gather(table [stay, width], Gather(places int32 [rows], ids))

Ids stay as they were: those that go are taken for that of a fallback (`rows`). For ids that stay every number is the
same. Heads with a logit for each row shrink with the table (`heads`). Abdaoui et al. 2020, "Load What You Need".
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import VocabularyPruning
from worker.compression.data.samples import Samples
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.tables.find import Table
from worker.compression.graph.tables.observe import Lookups
from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.values import array_of, required_input
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import refuse_quantized
from worker.compression.steps.opset import raised
from worker.compression.vocabulary_pruning.candidates import (
    check_ids,
    check_short,
    looked_up_tables,
    nothing_to_prune,
    why_pinned,
)
from worker.compression.vocabulary_pruning.fill import lowest_fill
from worker.compression.vocabulary_pruning.heads import (
    Head,
    cut_head,
    find_heads,
    put_back,
    shorten_outputs,
)
from worker.compression.vocabulary_pruning.rows import NEAREST, Choice, choose_rows, unknown_token

MIN_OPSET: Final = 11
"""From which on a Gather may name the last axis."""
PLACES: Final = (
    "its input counts places or segments: in the data its numbers rise by 0 or 1, or its name says position"
)
FULL_HEADS: Final = (
    "Logits of ids that are gone are the lowest finite number: the parity of such outputs counts these, and says "
    "little."
)
TOOK_NEAREST: Final = (
    "Ids without a row in {table} are taken for {fallback_id}, whose row is nearest to the mean of those that went. "
    "Where the tokenizer has an unknown token, name it in fallback_id: the model knows what to make of it."
)
ALL_SEEN: Final = "the data and `keep` have all of its ids"


@dataclass(frozen=True)
class Decision:
    """About one table: the rows that stay, or the reason why all do."""

    table: Table
    choice: Choice | None
    reason: str | None


def vocabulary_pruning(model: ir.Model, step: VocabularyPruning, context: Context) -> StepResult:
    """Take rows out of the tables that inputs are looked up in, in place.

    Raises `Refusal` `already_quantized`, `nothing_to_compress`, `missing_data`, `invalid_request`,
    `model_does_not_run`.
    """
    refuse_quantized(model)
    model, notes = raised(model, MIN_OPSET, "a remapping of ids")
    tables = looked_up_tables(model)
    free = [table for table in tables if why_pinned(table, step) is None]
    if not free:
        raise nothing_to_prune(tables, [why_pinned(table, step) for table in tables])
    data = _data(model, context)
    looked_up = Lookups(model, free).count(data)
    words = [table for table in free if not looked_up.places.issuperset(table.inputs)]
    check_ids(step, words)
    counts = {table.name: count for table, count in zip(free, looked_up.counts, strict=True)}
    decisions = [
        _decide(table, counts.get(table.name), table in words, step, unknown_token(table, data))
        for table in tables
    ]
    if not words:
        raise nothing_to_prune(tables, [decision.reason for decision in decisions])
    edit = GraphEdit(model)
    heads = [find_heads(model, decision.table) if decision.choice else [] for decision in decisions]
    rows = [_prune(edit, x, of_table, step, context) for x, of_table in zip(decisions, heads, strict=True)]
    changed = sum(decision.choice is not None for decision in decisions)
    if any(row["heads"] and row["logits"] is None for row in rows):
        notes = [*notes, FULL_HEADS]
    notes = [*notes, *(TOOK_NEAREST.format(**row) for row in rows if row.get("fallback_is") == NEAREST)]
    if not changed:
        why = "; ".join(f"{decision.table.name}: {decision.reason}" for decision in decisions)
        notes = [f"The model stays as it was: {why}."]
    return StepResult(model, changed, len(decisions), notes, {"tables": rows})


def _data(model: ir.Model, context: Context) -> list[Samples]:
    data = context.seen(inputs_of(model))
    if not any(len(samples) for samples in data):
        raise Refusal(
            "missing_data",
            "vocabulary_pruning keeps the ids that the data has: it needs calibration or training data.",
            field="data.calibration",
        )
    return data


def _decide(
    table: Table, counts: Array | None, is_words: bool, step: VocabularyPruning, unknown: int | None
) -> Decision:
    if counts is None:
        return Decision(table, None, why_pinned(table, step))
    if not is_words:
        return Decision(table, None, PLACES)
    choice, (_, width) = choose_rows(table, counts, step, unknown), table.shape
    if not choice.gone:
        return Decision(table, None, ALL_SEEN)
    if table.remapping is None and choice.gone * width <= table.ids:
        reason = f"the {choice.gone} rows that could go take no more than a remapping of {table.ids} ids"
        return Decision(table, None, reason)
    return Decision(table, choice, None)


def _prune(
    edit: GraphEdit, decision: Decision, heads: list[Head], step: VocabularyPruning, context: Context
) -> dict[str, Any]:
    """Cut one table, its heads, and put the remapping in front; returns its row of the report."""
    table, choice = decision.table, decision.choice
    row: dict[str, Any] = {"table": table.name, "inputs": list(table.inputs), "reason": decision.reason}
    if choice is None:
        return row | {"rows": [table.shape[0]] * 2, "heads": []}
    if step.head == "short":
        check_short(edit.model, heads)
    fill = lowest_fill(edit.model, context, heads) if heads and step.head == "full" else 0.0
    places = edit.new_constant(f"{table.name}_places", choice.places)
    for head in heads:
        cut_head(edit, head, choice.stays)
    _cut_table(table, choice.stays)
    _remap(edit, table, choice, places)
    if step.head == "full":
        _put_back(edit, heads, choice, places, fill)
    else:
        for head in heads:
            shorten_outputs(edit.model, head, len(choice.stays) - choice.gone)
    if not places.uses():
        edit.graph.initializers.pop(str(places.name))
    return row | {
        "rows": [len(choice.stays), len(choice.stays) - choice.gone],
        "seen": choice.seen,
        "fallback_id": int(np.flatnonzero(choice.ids == choice.fallback)[0]),
        "fallback_is": choice.fallback_is,
        "heads": [str(head.product.name) for head in heads],
        "logits": choice.staying_ids if heads and step.head == "short" else None,
    }


def _cut_table(table: Table, stays: Array) -> None:
    short = ir.tensor(np.ascontiguousarray(array_of(table.weight)[stays]), name=table.weight.name)
    table.weight.const_value, table.weight.shape = short, ir.Shape(short.shape.numpy())


def _remap(edit: GraphEdit, table: Table, choice: Choice, places: ir.Value) -> None:
    """Let every lookup go through the remapping; in place of an earlier one, which other tables may read on, through
    both in one."""
    earlier = table.remapping
    numbers = places if earlier is None else edit.new_constant(str(earlier.name), choice.places[choice.ids])
    remapped: dict[ir.Value, ir.Value] = {}
    for gather in table.gathers:
        ids = required_input(gather, 1)
        if earlier is not None and (before := ids.producer()) is not None:
            ids = required_input(before, 1)
        if ids not in remapped:
            node = edit.new_node("Gather", [numbers, ids], f"{ids.name}_places", {"axis": 0})
            node.outputs[0].type, node.outputs[0].shape = ir.TensorType(ir.DataType.INT32), ids.shape
            edit.graph.insert_before(gather, node)
            remapped[ids] = node.outputs[0]
        gather.replace_input_with(1, remapped[ids])


def _put_back(edit: GraphEdit, heads: list[Head], choice: Choice, places: ir.Value, fill: float) -> None:
    if not heads:
        return
    stays = edit.new_constant(f"{places.name}_stay", choice.stays)
    floor = edit.new_constant(f"{places.name}_lowest", np.array(fill, np.float32))
    for head in heads:
        put_back(edit, head, stays, places, floor)
