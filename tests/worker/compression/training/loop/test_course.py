"""A training that is interrupted and taken up again ends with the weights of one that nobody interrupted."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from pydantic import TypeAdapter

from tests.support.small_nets import digits_net, digits_samples
from winnow.contract.model import TensorSpec
from winnow.contract.recipe import AnyStep
from worker.compression.apply import apply
from worker.compression.cache.bounded_folder import BoundedFolder
from worker.compression.cache.unfinished import NOT_KEPT, OnKept, Unfinished, tell_nobody
from worker.compression.data.samples import Samples
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult
from worker.compression.training.loop import course, train
from worker.compression.training.loop.best import Best
from worker.compression.training.loop.optimization import descent, rate

ROWS, BATCH = 60, 10
BASE: dict[str, Any] = {"batch_size": BATCH, "learning_rate": 0.01, "validation": 0.2}
GENTLE: dict[str, Any] = {"learning_rate": 1e-4}
"""For a student that begins as its teacher."""
TRAININGS: dict[str, list[dict[str, Any]]] = {
    "statistics and augmentation": [{"kind": "finetune", **BASE, "epochs": 2, "batchnorm": "restored"}],
    "a rate that was searched": [
        {"kind": "finetune", **BASE, "learning_rate": None, "steps": 56, "optimizer": "sgd"}
    ],
    "no rows held out": [{"kind": "finetune", **BASE, "validation": 0, "epochs": 1, "optimizer": "sgd"}],
    "patience": [{"kind": "finetune", **BASE, "epochs": 9, "patience": 2}],
    "parts of batches, and an average": [
        {
            "kind": "finetune",
            **BASE,
            "epochs": 2,
            "micro_batch_size": 4,
            "ema_decay": 0.9,
            "activation_checkpointing": "always",
        }
    ],
    "a rate that is lowered": [
        {"kind": "finetune", **BASE, "epochs": 4, "learning_rate": 1, "optimizer": "sgd", "clip_norm": None}
    ],
    "zeros that grow": [
        {"kind": "finetune", **BASE, "epochs": 2, "gradual": {"structure": "unstructured", "sparsity": 0.6}}
    ],
    "a teacher and projections": [
        {
            "kind": "distillation",
            **BASE,
            **GENTLE,
            "epochs": 1,
            "features": [{"teacher": "r2", "student": "r1", "weight": 0.1}],
        }
    ],
    "two stages, and an average": [
        {
            "kind": "distillation",
            **BASE,
            **GENTLE,
            "epochs": 2,
            "features": [{"teacher": "r2", "student": "r1", "weight": 0.1}],
            "features_first": 0.4,
            "ema_decay": 0.9,
        }
    ],
    "scales": [
        {"kind": "int8_static", "bias_correction": False},
        {"kind": "quantization_aware_training", **BASE, **GENTLE, "epochs": 1},
    ],
}


class Cut(Exception):
    """The power."""


@pytest.fixture(autouse=True)
def _kept_after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "KEEP_SECONDS", 0.0)


class Bench:
    """Digits, and a folder in which attempts at the same training follow each other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._samples = digits_samples(folder / "data").take(ROWS)

    def unfinished(self, on_kept: OnKept = tell_nobody) -> Unfinished:
        place = BoundedFolder(self._folder / "checkpoints", max_entries=9, max_bytes=1 << 30)
        return Unfinished(place, "key", on_kept)

    def attempt(self, steps: list[dict[str, Any]], unfinished: Unfinished = NOT_KEPT) -> StepResult:
        def training(inputs: list[TensorSpec]) -> Samples:
            return self._samples

        scratch = self._folder / "scratch"
        scratch.mkdir(exist_ok=True)
        context = Context(
            scratch,
            7,
            Silent(),
            calibration=self._samples,
            curves=self._folder / "curves",
            augment=("padded_crop",),
            training=training,
            model=lambda name: digits_net(),
            unfinished=unfinished,
        )
        torch.manual_seed(1)  # what is drawn before a training begins is its process's
        result = StepResult(digits_net(), 0, 0)
        for step in steps:
            parsed: AnyStep = TypeAdapter(AnyStep).validate_python(step)
            result = apply(result.model, parsed, context)
        return result


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def weights(model: ir.Model) -> dict[str, bytes]:
    return {
        name: value.const_value.numpy().tobytes()
        for name, value in model.graph.initializers.items()
        if value.const_value is not None
    }


def in_pieces(bench: Bench, steps: list[dict[str, Any]], states: int) -> tuple[StepResult, int]:
    """Interrupted whenever so many states were kept, until it comes to its end; how often it was."""
    cuts = 0
    while True:
        kept = 0

        def cut(slot: str, key: str) -> None:
            nonlocal kept
            if (kept := kept + 1) == states:
                raise Cut

        try:
            return bench.attempt(steps, bench.unfinished(cut)), cuts
        except Cut:
            cuts += 1


@pytest.mark.parametrize("name", TRAININGS)
def test_interrupted_after_every_second_step_it_ends_with_the_same_weights(bench: Bench, name: str) -> None:
    """Bit by bit, with the same account of itself but for how fast it was."""
    steps = TRAININGS[name]
    whole = bench.attempt(steps)
    pieces, cuts = in_pieces(bench, steps, 2 if name != "a rate that was searched" else 20)
    assert cuts >= 2
    assert weights(pieces.model) == weights(whole.model)
    speed = {"samples_per_second": 0.0}
    assert pieces.details | speed == whole.details | speed
    assert pieces.notes == whole.notes


def test_a_training_that_diverges_goes_on_at_a_lower_rate(bench: Bench) -> None:
    """From the best weights so far, and says so; only then does it give up."""
    result = bench.attempt(TRAININGS["a rate that is lowered"])
    lowered = result.details["lowered"]
    assert 1 <= len(lowered) <= course.MAX_LOWERED
    assert result.details["learning_rate"] == pytest.approx(course.LOWERED_TO ** len(lowered))
    assert [note for note in result.notes if note.startswith("Diverged: ")] == [
        f"Diverged: {why}." for why in lowered
    ]


def test_the_rate_that_was_begun_with_is_told_as_that(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the one that it was lowered to."""
    monkeypatch.setitem(rate.CAREFUL_RATES, "sgd", 1.0)
    result = bench.attempt([{**TRAININGS["a rate that is lowered"][0], "learning_rate": None}])
    assert result.details["lowered"]
    assert "Learning rate 1: the training is too short to search one." in result.notes


def test_a_last_stage_that_diverges_goes_on_from_where_it_began(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first stage learned is no better by the outputs, and would be lost."""
    losses, went_on_from = iter([1.0] * 6 + [math.nan] + [1.0] * 99), list[np.ndarray]()

    def gradients(*arguments: Any) -> float:
        descent.gradients(*arguments)
        return next(losses)

    def go_back(best: Best) -> str:
        place = plain(best)
        went_on_from.append(best._pair.module.weight("w1").detach().numpy().copy())
        return place

    plain = Best.go_back
    monkeypatch.setattr(train, "gradients", gradients)
    monkeypatch.setattr(Best, "go_back", go_back)
    result = bench.attempt(TRAININGS["two stages, and an average"])
    (lowered,) = result.details["lowered"]
    assert "behind step 6 of 8: it went on from the weights its last stage began with" in lowered
    begun = digits_net().graph.initializers["w1"].const_value
    assert begun is not None
    assert not np.array_equal(went_on_from[0], begun.numpy())


def test_a_step_that_diverged_is_none_of_its_epoch(bench: Bench) -> None:
    """The data goes on behind it, the count of epochs and steps does not."""
    epochs = bench.attempt(TRAININGS["a rate that is lowered"]).details["epochs"]
    assert [entry["epoch"] for entry in epochs] == [0, 1, 2, 3, 4]
    assert [entry["step"] for entry in epochs] == [0, 4, 8, 12, 16]


def test_with_a_teacher_whose_outputs_are_cached_they_are_the_same_to_rounding(bench: Bench) -> None:
    """1e-5 of each weight and 1e-6: the outputs are computed again, in other batches."""
    steps = [{"kind": "distillation", **BASE, **GENTLE, "epochs": 2, "cache_teacher": True}]
    whole, (pieces, _) = bench.attempt(steps).model, in_pieces(bench, steps, 3)
    for name, content in weights(whole).items():
        expected, found = (np.frombuffer(x, np.float32) for x in (content, weights(pieces.model)[name]))
        assert np.allclose(found, expected, rtol=1e-5, atol=1e-6), name


def test_what_is_kept_changes_nothing(bench: Bench) -> None:
    steps = TRAININGS["statistics and augmentation"]
    assert weights(bench.attempt(steps, bench.unfinished()).model) == weights(bench.attempt(steps).model)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_a_state_that_cannot_be_read_is_begun_anew(bench: Bench, content: bytes) -> None:
    steps = TRAININGS["no rows held out"]
    bench.unfinished().write(lambda file: file.write_bytes(content) and None)
    assert weights(bench.attempt(steps, bench.unfinished()).model) == weights(bench.attempt(steps).model)


def test_a_state_of_another_version_is_begun_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = TRAININGS["no rows held out"]
    with monkeypatch.context() as patch:
        patch.setattr(course, "FORMAT", (0, "an old one"))
        with pytest.raises(Cut):
            bench.attempt(steps, bench.unfinished(_cut_at_once))
    assert bench.unfinished().state is not None
    assert weights(bench.attempt(steps, bench.unfinished()).model) == weights(bench.attempt(steps).model)


def test_a_state_runs_no_code(bench: Bench, tmp_path: Path) -> None:
    """Another process wrote it: it is read as numbers, and nothing else."""

    class Planted:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    bench.unfinished().write(lambda file: torch.save({"format": Planted()}, file))
    assert course.read_state(bench.unfinished()) is None
    assert not (tmp_path / "ran").exists()


def _cut_at_once(slot: str, key: str) -> None:
    raise Cut


def test_the_course_goes_with_numbers_alone(bench: Bench) -> None:
    """What is kept can be read without the classes that it was made of."""
    with pytest.raises(Cut):
        bench.attempt(TRAININGS["zeros that grow"], bench.unfinished(_cut_at_once))
    state = course.read_state(bench.unfinished())
    assert state is not None
    assert state["step"] == 1
    assert all(np.isfinite(tensor.numpy()).all() for tensor in state["weights"])
