"""`python -m tests.support.killed FOLDER OUT`: a training on the digits in FOLDER that kills itself on its way."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.support.digits import DECLARATION, EVALUATION, Digits
from tests.support.in_process import InProcess
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.training.loop import course
from worker.compression.unfinished import OnKept, tell_nobody

KILLED_AFTER = 5
STEPS = [
    {"kind": "channel_pruning", "amount": 0.25},
    {"kind": "finetune", "steps": 16, "batch_size": 50, "learning_rate": 0.01},
]


class Telling:
    def __init__(self, told: list[str]) -> None:
        self._told = told

    def step(self, index: int, kind: str) -> None: ...

    def advance(self, fraction: float) -> None: ...

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        self._told.append(message)


def train(files: Digits, out: Path, told: list[str] | None = None, on_kept: OnKept = tell_nobody) -> Report:
    source = Source(files.data, DECLARATION, (0, 300))
    data = Data(training=source, evaluation=Source(files.data, DECLARATION, EVALUATION))
    options = Options(
        Evaluation(metric="top1"), benchmark=Benchmark(rounds=9), processes=InProcess(), on_kept=on_kept
    )
    recipe = Recipe.model_validate({"steps": STEPS})
    return compress(files.model, recipe, data, out, Telling([] if told is None else told), options=options)


def main() -> None:
    course.KEEP_SECONDS = 0.0  # type: ignore[misc]
    states = 0

    def kill(slot: str, key: str) -> None:
        nonlocal states
        states += slot == "unfinished"
        if states == KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)

    folder, out = map(Path, sys.argv[1:])
    train(Digits(folder / "model.onnx", folder / "data.npz"), out, on_kept=kill)


if __name__ == "__main__":
    main()
