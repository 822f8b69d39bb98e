"""Trains a graph as a step asks: what `finetune`, `distillation` and `quantization_aware_training` share."""

from dataclasses import asdict
from typing import Any

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from winnow.contract.recipe import Training
from worker.compression.data.labels import may_be_one_hot
from worker.compression.data.samples import Samples
from worker.compression.engine.module import GraphModule
from worker.compression.engine.trainable import feeding
from worker.compression.engine.working import as_module, write_back
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.ir.naming import excluded
from worker.compression.layers.batchnorm import untie_batchnorms
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import TrainingDiverged
from worker.compression.training.feeding.batches import validation_rows
from worker.compression.training.feeding.hardware import Hardware, hardware_for
from worker.compression.training.goal.fit import check_fit
from worker.compression.training.goal.head import head_of, output_of
from worker.compression.training.goal.objective import Objective
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.goal.targets import HeadTarget
from worker.compression.training.goal.teacher import Teacher
from worker.compression.training.loop.optimization.rate import CAREFUL_RATES
from worker.compression.training.loop.result import Epoch, TrainingResult
from worker.compression.training.loop.train import Run, train
from worker.compression.training.sparsity_masks import SparsityPlan, plan_sparsity
from worker.compression.training.training_goal import TrainingGoal, same_head, targets_of


def train_model(model: ir.Model, step: Training, context: Context, goal: TrainingGoal) -> StepResult:
    """Train the model's weights in place.

    Raises `TrainingDiverged`; `Refusal` `unsupported_operator`, `nothing_to_train`, `missing_data`, `not_finite`,
    `labels_do_not_fit`, `teacher_does_not_fit`, `unknown_output`, `unknown_value`, `step_failed`,
    `nothing_to_compress`.
    """
    hardware = hardware_for(step)
    untie_batchnorms(model)
    samples = context.training(_inputs(model, goal.teacher))
    pair = _pair(model, step, goal, hardware, samples, context)
    samples = _labelled(samples, model, pair)
    frozen = frozenset(str(node.name) for node in model.graph if excluded(node, step.exclude))
    layers, learning = _freeze(pair.module, frozen)
    sparsity = plan_sparsity(model, pair.module, step)
    check_fit(pair, samples)
    augment = tuple(context.augment) if step.augment and not goal.cached else ()
    run = Run(
        settings=step,
        samples=samples,
        augment=augment,
        restores=step.batchnorm == "restored",  # decision 0014
        frozen=frozen,
        masks=sparsity.masks,
        seed=context.seed,
        progress=context.progress,
        curves=context.curves,
        unfinished=context.unfinished,
    )
    result = train(pair, run)
    write_back(pair.module, model, result.biases)
    if result.diverged is not None:
        raise _diverged(model, result)
    notes = [*_notes(result, step, samples), *_teachers_notes(goal, pair.teacher), *sparsity.notes]
    details = _details(result, hardware, goal, sparsity, recomputes=pair.module.recomputes)
    return StepResult(model, learning, layers, notes, details, sparsity.targets)


def _inputs(model: ir.Model, teacher: ir.Model | None) -> list[TensorSpec]:
    """List the student's inputs, and what the teacher takes besides."""
    own = inputs_of(model)
    others = inputs_of(teacher) if teacher is not None else []
    return own + [spec for spec in others if spec.name not in {known.name for known in own}]


def _pair(
    model: ir.Model,
    step: Training,
    goal: TrainingGoal,
    hardware: Hardware,
    samples: Samples,
    context: Context,
) -> StudentTeacher:
    head = head_of(model, step.output, goal.meaning, goal.class_axis)
    teacher_head, targets = None, None
    if goal.teacher is not None:
        teacher_head = same_head(goal.teacher, head)
        targets = targets_of(model, goal, HeadTarget(head, teacher_head, goal.weights.temperature))
    objective = Objective(goal.weights, head, teacher_head, targets)
    module = as_module(model, objective.student_values)
    teacher = None
    if goal.teacher is not None:
        teacher_module = as_module(goal.teacher, objective.teacher_values)
        hardware.place(teacher_module)
        rows = int(samples.rows[-1]) + 1
        folder = context.scratch if goal.cached else None
        why_not = _why_not_kept(objective, samples)
        teacher = Teacher(teacher_module, hardware, rows, folder, objective.teacher_heads, why_not)
    for part in (module, objective):
        hardware.place(part)
    return StudentTeacher(module, objective, teacher, hardware)


def _why_not_kept(objective: Objective, samples: Samples) -> str | None:
    """Say as a clause why a teacher's answers have no row for each sample that could be kept; None where they have."""
    if samples.is_ragged:
        return "rows differ in their size"
    return (
        None if objective.samples_first else "samples do not lie along the first axis of all that is compared"
    )


def _labelled(samples: Samples, model: ir.Model, pair: StudentTeacher) -> Samples:
    """Turn labels into class numbers, where the output means classes."""
    head = pair.objective.student
    if head.meaning != "classification":
        return samples
    shape = output_of(model, head.output).shape
    one_hot = samples.targets is not None and may_be_one_hot(
        samples.targets, None if shape is None else tuple(shape)
    )
    return samples.with_class_numbers(one_hot=one_hot, axis=head.class_axis)


def _freeze(module: GraphModule, frozen: frozenset[str]) -> tuple[int, int]:
    """Freeze the weights of these nodes, even where others share them, and their statistics.

    Returns how many nodes have weights, and how many of them learn. Raises `nothing_to_train`.
    """
    parameters = dict(module.named_parameters())
    layers = {call.node: feeding(call.node) & parameters.keys() for call in module.calls}
    weighted = [names for names in layers.values() if names]
    fixed = set().union(*(names for node, names in layers.items() if node.name in frozen))
    for name in fixed:
        parameters[name].requires_grad_(False)
    module.freeze(frozen)
    learning = [names for names in weighted if names - fixed]
    if not learning:
        why = "all of them are excluded" if weighted else "the output does not depend on any that are float32"
        raise Refusal("nothing_to_train", f"There are no weights to train: {why}.")
    return len(weighted), len(learning)


def _diverged(model: ir.Model, training: TrainingResult) -> TrainingDiverged:
    best = training.best.epoch if training.best is not None else 0
    best_weights = f"the weights after epoch {best}" if best else "the weights it began with"
    return TrainingDiverged(
        model,
        f"The training stopped because {training.diverged}, at a learning rate of {training.rate:.3g}. The best so "
        f"far, {best_weights}, are kept as the artifact. Give a lower learning_rate, or a lower clip_norm.",
    )


def _notes(training: TrainingResult, step: Training, samples: Samples) -> list[str]:
    notes = [f"Diverged: {why}." for why in training.lowered]
    fixed = samples.fixed_batch
    if fixed is not None and fixed != step.batch_size:
        count = max(1, step.batch_size // fixed)
        notes.append(f"The model takes batches of {fixed} only: a step adds up {count} of them.")
    if training.range_test is not None:
        notes.append(
            f"Learning rate {training.range_test.proposed:.3g}, found by a range test of "
            f"{len(training.range_test.rates)} steps."
        )
    elif step.learning_rate is None:
        careful = CAREFUL_RATES[step.optimizer]
        notes.append(f"Learning rate {careful:.3g}: the training is too short to search one.")
    if training.best is not None and training.best.epoch == 0 and len(training.epochs) > 1:
        held = validation_rows(len(samples), step.validation)
        rows = f"the {held} validation rows" if held else "rows that it was trained on"
        notes.append(
            f"By {rows} it cannot be told that the training made the model better than it was: the weights it began "
            "with are kept. More training data (or a larger validation share) tells more."
        )
    return notes


def _teachers_notes(goal: TrainingGoal, teacher: Teacher | None) -> list[str]:
    if not goal.cached or teacher is None or teacher.why_not_kept is None:
        return []
    return [f"The teacher answered anew in each epoch, without cache_teacher: {teacher.why_not_kept}."]


def _details(
    training: TrainingResult,
    hardware: Hardware,
    goal: TrainingGoal,
    sparsity: SparsityPlan,
    *,
    recomputes: bool,
) -> dict[str, Any]:
    return {
        "learning_rate": training.rate,
        "lowered": training.lowered,
        "batchnorm": f"restored behind {training.restored} convolutions" if training.restored else "folded",
        "epochs": [_as_report(entry) for entry in training.epochs],
        "best_epoch": training.best.epoch if training.best is not None else None,
        "samples_per_second": round(training.samples_per_second, 1),
        "hardware": str(hardware),
        "precision": hardware.precision,
        "activation_checkpointing": recomputes,
        "features": [asdict(feature) for feature in goal.weights.features],
        "zeros": sparsity.details(),
        "range_test": None
        if training.range_test is None
        else {"rates": training.range_test.rates, "losses": training.range_test.losses},
    }


def _as_report(entry: Epoch) -> dict[str, Any]:
    validation = entry.validation
    metric = None if validation is None else validation.metric
    return {
        "epoch": entry.epoch,
        "step": entry.step,
        "loss": entry.loss,
        "validation_loss": None if validation is None else validation.loss,
        "metric": None if metric is None else metric[1],
        "metric_name": None if metric is None else metric[0],
    }
