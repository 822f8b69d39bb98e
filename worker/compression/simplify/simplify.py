"""`simplify`: the lossless normal form, as a step of its own.

The graph comes in normal form (`graph/normal_form`): folded, without dead and cancelling nodes, equal expressions
joined. The step ties equal constants, writes the targets of Reshapes as numbers, and puts into a layer what is done to
each of its channels, a bias behind a product and the zeros before a convolution. These last three change the order of
float operations: what they make is taken where each output stays within 1e-5 of its largest magnitude, otherwise only
what changes no bit. Both are computed, on calibration data where there is some, else on random numbers.
"""

from collections import Counter
from typing import Final

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import Simplify
from worker.compression.graph.facts.counts import GraphCounts
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.normal_form.fused_norms import HAS_LAYER_NORMALIZATION
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.values import all_nodes
from worker.compression.layers.channel_affine import channel_affine, fold
from worker.compression.measure.feeds import benchmark_feed
from worker.compression.onnx_files import model_files
from worker.compression.simplify.agreement import MAX_ERROR, NothingToCompare, Reference
from worker.compression.simplify.chosen_opset import at_opset
from worker.compression.simplify.paddings import fold_paddings
from worker.compression.simplify.products import write_gemms
from worker.compression.simplify.reshape_targets import write_targets
from worker.compression.simplify.tied_constants import tie_constants
from worker.compression.simplify.undo_contrib import contrib_operators, undo_contrib
from worker.compression.steps.context import Context, StepResult

MAX_ROUNDS: Final = 16
"""Of all rules; most graphs need two."""
MAX_COMPARED_BYTES: Final = 2**28
"""Weights from here on are not computed with: then only what changes no bit is done."""


def simplify(model: ir.Model, step: Simplify, context: Context) -> StepResult:
    """Simplify the model, and change its opset and operators as far as the step asks for it.

    Raises `Refusal` `step_failed` where the opset cannot be had, or where what was asked for would move an output.
    """
    before = GraphCounts.of(model) if context.received is None else context.received.counts
    notes, error = list[str](), 0.0
    try:
        reference = _reference(model, context)
    except NothingToCompare as why:
        made, done = _simplified(model.clone(), step, reorders=False, compared=False)
        notes.append(f"The order of float operations stayed, since the result could not be compared: {why}.")
        return _result(model, made, before, step, notes, {"done": dict(done), "largest_error": None})
    for reorders in (True, False):
        made, done = _simplified(model.clone(), step, reorders=reorders)
        if (error := reference.largest_error_of(made)) <= MAX_ERROR:
            return _result(model, made, before, step, notes, {"done": dict(done), "largest_error": error})
        notes = [f"The order of float operations stayed: {_moved(error)} otherwise."]
    return _unchanged(model, step, error)


def _reference(model: ir.Model, context: Context) -> Reference:
    """Of the file that came, where the step is the first of those that lose nothing. Raises `NothingToCompare`."""
    if model_files.weight_bytes(model) >= MAX_COMPARED_BYTES:
        raise NothingToCompare("its weights are too many to compute with them twice more")
    batch, shapes = context.benchmark.batch_sizes[0], context.benchmark.shapes
    feed, _ = benchmark_feed(inputs_of(model), batch, shapes, context.calibration, context.seed)
    return Reference(model if context.received is None else context.received.path, feed, context.scratch)


def _simplified(
    model: ir.Model, step: Simplify, *, reorders: bool, compared: bool = True
) -> tuple[ir.Model, Counter[str]]:
    """The model after all rules, and how often each was applied; with `reorders` after those too that change the order
    of float operations."""
    done = Counter[str]()
    if step.opset is not None and step.opset > opset_of(model):
        model = at_opset(model, step.opset, compared=compared)
    if step.undo_contrib:
        before = contrib_operators(model).total()
        undo_contrib(model)
        done["contrib operators undone"] = before - contrib_operators(model).total()
        model = normalise(model)
    for _ in range(MAX_ROUNDS):
        applied = _apply_rules(model, reorders=reorders)
        if not applied.total():
            break
        done += applied
        model = normalise(model, norms_apart=False)
    if step.opset is not None:
        model = at_opset(model, step.opset, compared=compared)
    return model, +done


def _apply_rules(model: ir.Model, *, reorders: bool) -> Counter[str]:
    done = Counter(
        {"constants tied": tie_constants(model), "shapes written as numbers": write_targets(model)}
    )
    if reorders:
        done["channels folded into layers"] = _fold_channels(model)
        done["biases put into products"] = write_gemms(model)
        done["paddings put into convolutions"] = fold_paddings(model)
    return done


def _fold_channels(model: ir.Model) -> int:
    """Where a weight would be stored twice it stays as it is."""
    edit, folded = GraphEdit(model), 0
    for node in list(all_nodes(model)):
        affine = channel_affine(node)
        if affine is not None and affine.reads_weight_alone:
            fold(edit, affine)
            folded += 1
    return folded


def _result(
    model: ir.Model,
    made: ir.Model,
    before: GraphCounts,
    step: Simplify,
    notes: list[str],
    details: dict[str, object],
) -> StepResult:
    after = GraphCounts.of(made)
    reopened = step.opset is not None and opset_of(model) != step.opset
    changed = before.changes_to(after) + len(step.fix_shapes) + reopened
    parts = before.nodes + before.constants
    if not changed:
        return StepResult(model, 0, parts, ["The model is in its simplest form already.", *notes], details)
    sentence = (
        f"{before.nodes} nodes and {before.constants} constants are {after.nodes} and {after.constants}."
    )
    notes = [sentence, *notes, *_remaining(step, made)]
    return StepResult(made, min(changed, parts), parts, notes, details | _counted(before, after))


def _counted(before: GraphCounts, after: GraphCounts) -> dict[str, object]:
    """For the report: nodes and constants, and the operators of which there is another number now."""
    names = sorted(before.operators | after.operators)
    pairs = {name: [before.operators[name], after.operators[name]] for name in names}
    return {
        "nodes": [before.nodes, after.nodes],
        "constants": [before.constants, after.constants],
        "operators": {name: pair for name, pair in pairs.items() if pair[0] != pair[1]},
    }


def _remaining(step: Simplify, made: ir.Model) -> list[str]:
    """Say which operators undo_contrib has no other form of."""
    remaining = contrib_operators(made) if step.undo_contrib else Counter[str]()
    if not remaining:
        return []
    listed = ", ".join(f"{count} × {name}" for name, count in remaining.most_common())
    note = f"These operators of ONNX Runtime's own stay: {listed}."
    if opset_of(made) < HAS_LAYER_NORMALIZATION:
        note += f" With opset {HAS_LAYER_NORMALIZATION} or later there are forms of more."
    return [note]


def _moved(error: float) -> str:
    """A clause."""
    if error == float("inf"):
        return "the result would not run, or answer something else"
    return f"an output would have moved by {error:.1e} of its largest magnitude"


def _unchanged(model: ir.Model, step: Simplify, error: float) -> StepResult:
    if step.opset is not None or step.undo_contrib:
        setting = "opset" if step.opset is not None else "undo_contrib"
        raise Refusal(
            "step_failed",
            f"With {setting} {_moved(error)}; {MAX_ERROR:.0e} is the most. Leave it out, or ask for another.",
        )
    return StepResult(model, 0, model.graph.num_nodes(), [f"The model stays as it was: {_moved(error)}."])
