"""What the steps that train have in common: from a graph and a step to the same graph with better weights."""

from dataclasses import dataclass
from typing import Any, Literal

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from winnow.contract.recipe import Taught, Training
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
from worker.compression.training.goal.head import Meaning, head_of, output_of
from worker.compression.training.goal.objective import Objective, Weights
from worker.compression.training.goal.student_teacher import Pair
from worker.compression.training.goal.teacher import Teacher
from worker.compression.training.loop.train import Run, Trained, train
from worker.compression.training.sparsity_masks import Sparse, sparse


@dataclass(frozen=True)
class Lesson:
    """What is to be learned: the parts of the loss, what the output means, and the teacher's graph if there is one."""

    weights: Weights
    meaning: Meaning | Literal["auto"]
    teacher: ir.Model | None = None
    cached: bool = False


def lesson_of(step: Taught, context: Context) -> Lesson:
    """The parts that weigh something; the teacher only where one of them asks it."""
    features = tuple(pair for pair in step.features if pair.weight)
    weights = Weights(step.soft, step.hard, step.labels, features, step.temperature, step.label_smoothing)
    teacher = context.model(step.teacher) if weights.teacher else None
    meaning = "classification" if step.head == "auto" and step.hard else step.head
    return Lesson(weights, meaning, teacher, step.cache_teacher)


def trained(model: ir.Model, step: Training, context: Context, lesson: Lesson) -> StepResult:
    """Train the model's weights in place.

    Raises `TrainingDiverged`; `Refusal` `unsupported_operator`, `nothing_to_train`, `missing_data`, `not_finite`,
    `labels_do_not_fit`, `teacher_does_not_fit`, `unknown_output`, `unknown_value`, `step_failed`,
    `nothing_to_compress`.
    """
    hardware = hardware_for(step)
    untie_batchnorms(model)
    samples = context.training(_inputs(model, lesson.teacher))
    pair = _pair(model, step, lesson, hardware, samples, context)
    samples = _labelled(samples, model, pair)
    frozen = frozenset(str(node.name) for node in model.graph if excluded(node, step.exclude))
    layers, learning = _freeze(pair.module, frozen)
    zeros = sparse(model, pair.module, step)
    check_fit(pair, samples)
    augment = tuple(context.augment) if step.augment and not lesson.cached else ()
    run = Run(
        settings=step,
        samples=samples,
        augment=augment,
        restores=step.batchnorm == "restored",  # decision 0014
        frozen=frozen,
        zeros=zeros.zeros,
        seed=context.seed,
        progress=context.progress,
        curves=context.curves,
    )
    result = train(pair, run)
    write_back(pair.module, model, result.biases)
    if result.diverged is not None:
        raise _diverged(model, result)
    notes = [*_notes(result, step, samples), *zeros.notes]
    details = _details(result, hardware, lesson, zeros)
    return StepResult(model, learning, layers, notes, details, zeros.targets)


def _inputs(model: ir.Model, teacher: ir.Model | None) -> list[TensorSpec]:
    """Of the student, and what the teacher takes besides."""
    own = inputs_of(model)
    others = inputs_of(teacher) if teacher is not None else []
    return own + [spec for spec in others if spec.name not in {known.name for known in own}]


def _pair(
    model: ir.Model, step: Training, lesson: Lesson, hardware: Hardware, samples: Samples, context: Context
) -> Pair:
    head = head_of(model, step.output, lesson.meaning)
    taught = (
        None
        if lesson.teacher is None
        else head_of(lesson.teacher, _same(lesson.teacher, head.output), head.meaning)
    )
    objective = Objective(lesson.weights, head, taught)
    module = as_module(model, objective.student_values)
    teacher = None
    if lesson.teacher is not None:
        asked = as_module(lesson.teacher, objective.teacher_values)
        hardware.place(asked)
        rows = int(samples.rows[-1]) + 1
        rows_apart = taught is None or taught.batch_axis == 0  # time first: answers have no row of their own
        folder = context.scratch if lesson.cached and rows_apart else None
        teacher = Teacher(asked, hardware, rows, folder)
    for part in (module, objective):
        hardware.place(part)
    return Pair(module, objective, teacher, hardware)


def _labelled(samples: Samples, model: ir.Model, pair: Pair) -> Samples:
    """With class numbers for labels, where the output means classes."""
    head = pair.objective.student
    if head.meaning != "classification":
        return samples
    shape = output_of(model, head.output).shape
    one_hot = samples.targets is not None and may_be_one_hot(
        samples.targets, None if shape is None else tuple(shape)
    )
    return samples.with_class_numbers(one_hot=one_hot)


def _same(teacher: ir.Model, output: str) -> str | None:
    """The teacher's output of that name, else its first."""
    return output if any(value.name == output for value in teacher.graph.outputs) else None


def _freeze(module: GraphModule, frozen: frozenset[str]) -> tuple[int, int]:
    """Answers how many nodes have weights, and how many of them learn: a frozen node keeps its weights even where
    others share them, and its statistics. Raises `nothing_to_train`."""
    parameters = dict(module.named_parameters())
    layers = {call.node: feeding(call.node) & parameters.keys() for call in module.calls}
    weighted = [names for names in layers.values() if names]
    kept = set().union(*(names for node, names in layers.items() if node.name in frozen))
    for name in kept:
        parameters[name].requires_grad_(False)
    module.freeze(frozen)
    learning = [names for names in weighted if names - kept]
    if not learning:
        why = "all of them are excluded" if weighted else "the output does not depend on any that are float32"
        raise Refusal("nothing_to_train", f"There are no weights to train: {why}.")
    return len(weighted), len(learning)


def _diverged(model: ir.Model, result: Trained) -> TrainingDiverged:
    best = result.best.epoch if result.best is not None else 0
    kept = f"the weights after epoch {best}" if best else "the weights it began with"
    return TrainingDiverged(
        model,
        f"The training stopped because {result.diverged}, at a learning rate of {result.rate:.3g}. The best so far, "
        f"{kept}, are kept as the artifact. Give a lower learning_rate, or a lower clip_norm.",
    )


def _notes(result: Trained, step: Training, samples: Samples) -> list[str]:
    notes = []
    if samples.fixed_batch not in (None, step.batch_size):
        notes.append(f"The model takes batches of {samples.fixed_batch} only: trained with those.")
    if result.tested is not None:
        notes.append(
            f"Learning rate {result.rate:.3g}, found by a range test of {len(result.tested.rates)} steps."
        )
    elif step.learning_rate is None:
        notes.append(f"Learning rate {result.rate:.3g}: the training is too short to search one.")
    if result.best is not None and result.best.epoch == 0 and len(result.epochs) > 1:
        held = validation_rows(len(samples), step.validation)
        rows = f"the {held} validation rows" if held else "rows that it was trained on"
        notes.append(
            f"By {rows} it cannot be told that the training made the model better than it was: the weights it began "
            "with are kept. More training data (or a larger validation share) tells more."
        )
    return notes


def _details(result: Trained, hardware: Hardware, lesson: Lesson, zeros: Sparse) -> dict[str, Any]:
    return {
        "learning_rate": result.rate,
        "batchnorm": f"restored behind {result.restored} convolutions" if result.restored else "folded",
        "epochs": [_told(entry) for entry in result.epochs],
        "best_epoch": result.best.epoch if result.best is not None else None,
        "samples_per_second": round(result.samples_per_second, 1),
        "hardware": str(hardware),
        "zeros": zeros.details(),
        "range_test": None
        if result.tested is None
        else {"rates": result.tested.rates, "losses": result.tested.losses},
    }


def _told(entry: Any) -> dict[str, Any]:
    found = entry.validation
    return {
        "epoch": entry.epoch,
        "step": entry.step,
        "loss": entry.loss,
        "validation_loss": None if found is None else found.loss,
        "metric": None if found is None or found.metric is None else found.metric[1],
        "metric_name": None if found is None or found.metric is None else found.metric[0],
    }
