"""Outputs that are neither one class nor one number: boxes with scores, maps, steps of a sequence, several at once.

A network whose first layer was disturbed learns from itself as it was: what it gets wrong at least halves."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from pydantic import TypeAdapter

from tests.support.small_nets import model, run, samples
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from winnow.contract.recipe import AnyStep
from worker.compression.apply import apply
from worker.compression.data.samples import Samples
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult

ROWS = 64
TRAINING: dict[str, Any] = {
    "kind": "distillation",
    "batch_size": 16,
    "steps": 60,
    "learning_rate": 0.01,
    "temperature": 1.0,
}


def drawn(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def net(disturbed: float = 0.0) -> ir.Model:
    """A convolution, and behind it boxes and scores of 16 places, a map of 3 classes, 16 steps of 3 classes."""
    draw = drawn()
    weights = {
        "w": draw.normal(size=(8, 2, 3, 3)) * 0.3,
        "wb": draw.normal(size=(4, 8, 1, 1)),
        "ws": draw.normal(size=(2, 8, 1, 1)),
        "bs": np.array([-3.0, -3.0]),
        "wm": draw.normal(size=(3, 8, 1, 1)),
        "rows": np.array([0, 0, 16]),
    }
    weights["w"] += disturbed * drawn(1).normal(size=weights["w"].shape)
    arrays = {name: x.astype(np.int64 if name == "rows" else np.float32) for name, x in weights.items()}
    return model(
        """(float[N,2,4,4] x) => (float[N,16,4] boxes, float[N,16,2] scores, float[N,3,4,4] map, float[N,16,3] steps) {
            [conv] c = Conv <pads=[1, 1, 1, 1]> (x, w)
            [relu] r = Relu (c)
            [b] b4 = Conv (r, wb)
            [b_flat] bf = Reshape (b4, rows)
            [b_last] boxes = Transpose <perm=[0, 2, 1]> (bf)
            [s] s4 = Conv (r, ws, bs)
            [s_flat] sf = Reshape (s4, rows)
            [s_last] sl = Transpose <perm=[0, 2, 1]> (sf)
            [s_prob] scores = Sigmoid (sl)
            [m] map = Conv (r, wm)
            [m_flat] mf = Reshape (map, rows)
            [m_last] ml = Transpose <perm=[0, 2, 1]> (mf)
            [m_prob] steps = Softmax <axis=2> (ml)
        }""",
        arrays,
    )


@pytest.fixture
def data(tmp_path: Path) -> Samples:
    return samples(tmp_path / "data", net(), x=drawn(2).normal(size=(ROWS, 2, 4, 4)).astype(np.float32))


def trained(data: Samples, folder: Path, teacher: Callable[[], ir.Model] = net, **step: Any) -> StepResult:
    def training(inputs: list[TensorSpec]) -> Samples:
        return data

    context = Context(
        folder,
        3,
        Silent(),
        calibration=data,
        curves=folder / "curves",
        training=training,
        model=lambda name: teacher(),
    )
    parsed: AnyStep = TypeAdapter(AnyStep).validate_python({**TRAINING, **step})
    return apply(net(disturbed=0.2), parsed, replace(context))


def wrong(student: ir.Model, data: Samples, output: str, weights: np.ndarray | float = 1.0) -> float:
    """Mean squared difference to the teacher."""
    feeds = next(iter(data.batches(ROWS)))
    return float((weights * (run(student, feeds, output) - run(net(), feeds, output)) ** 2).mean())


@pytest.mark.parametrize(
    ("step", "outputs"),
    [
        ({"head": "detection"}, ["boxes", "scores"]),
        ({"output": "map", "head": "classification"}, ["map"]),
        ({"output": "steps", "head": "classification", "class_axis": -1}, ["steps"]),
        ({"outputs": [{"output": "map", "head": "classification", "weight": 0.5}]}, ["boxes", "map"]),
        ({"head": "detection", "outputs": [{"output": "steps"}]}, ["boxes", "scores", "steps"]),
    ],
    ids=["boxes and scores", "a map", "steps", "several", "boxes, scores and steps"],
)
def test_it_learns_to_answer_as_its_teacher(
    data: Samples, tmp_path: Path, step: dict[str, Any], outputs: list[str]
) -> None:
    after = trained(data, tmp_path, **step).model
    for output in outputs:
        assert wrong(after, data, output) < 0.5 * wrong(net(disturbed=0.2), data, output), output


def test_steps_are_learned_from_one_hot_labels_as_from_class_numbers(tmp_path: Path) -> None:
    """The same weights: [N, 16, 3] and [N, 16] say the same."""
    x = drawn(2).normal(size=(ROWS, 2, 4, 4)).astype(np.float32)
    classes = drawn(3).integers(0, 3, (ROWS, 16))
    step = {"output": "steps", "head": "classification", "class_axis": -1, "labels": 1.0, "steps": 4}
    made = []
    for number, labels in enumerate(
        (classes, np.eye(3, dtype=np.float32)[classes], np.eye(3, dtype=int)[classes])
    ):
        (folder := tmp_path / str(number)).mkdir()
        rows = samples(folder / "data", net(), x=x, labels=labels)
        after = trained(rows, folder, **step).model
        made.append(after.graph.initializers["w"].const_value.numpy())  # type: ignore[union-attr]
    assert np.array_equal(made[0], made[1])
    assert np.array_equal(made[0], made[2])


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ({"outputs": [{"output": "none"}]}, "unknown_output"),
        ({"output": "boxes", "head": "classification", "class_axis": 3}, "unknown_output"),
    ],
)
def test_what_the_graph_has_not_is_refused(
    data: Samples, tmp_path: Path, step: dict[str, Any], code: str
) -> None:
    with pytest.raises(Refusal) as caught:
        trained(data, tmp_path, **step)
    assert caught.value.problem.code == code


def test_a_teacher_without_an_output_of_that_name_is_refused(data: Samples, tmp_path: Path) -> None:
    """Its first output would be learned in its place, wherever the shapes agree."""

    def renamed() -> ir.Model:
        teacher = net()
        teacher.graph.outputs[1].name = "confidences"
        return teacher

    with pytest.raises(Refusal, match="has no output 'scores'") as caught:
        trained(data, tmp_path, renamed, outputs=[{"output": "scores"}])
    assert caught.value.problem.code == "teacher_does_not_fit"
