"""The comparison in a process of its own, for models whose weights this process had better not hold.

    python -m worker.compression.measure.apart ASKED.json ANSWER.json

prints one JSON object for each sign of progress, and writes the comparison, or the problem that refused it.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from app.contract.errors import Problem, Refusal
from app.contract.job import Benchmark, Evaluation
from app.contract.model import TensorSpec
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.measure.compare import Comparison, compare
from worker.compression.measure.fresh import die_with_parent
from worker.compression.progress import Progress

LARGE_BYTES: Final = 2**28
"""Weights of a model from which on it is measured apart; a process more takes a second."""


@dataclass(frozen=True)
class Asked:
    """What `compare` is given, with data that is still to be opened for these `inputs`."""

    baseline: Path
    candidate: Path
    inputs: list[TensorSpec]
    evaluation: Source | None
    calibration: Source | None
    overlap: bool
    metric: Evaluation | None
    benchmark: Benchmark
    seed: int
    max_unpacked_bytes: int


ASKED: Final = TypeAdapter(Asked)
ANSWER: Final[TypeAdapter[Comparison | Problem]] = TypeAdapter(Comparison | Problem)


def compare_apart(asked: Asked, scratch: Path, progress: Progress) -> Comparison:
    """Raises what `compare` raises; `model_does_not_run` when the process ends before it has answered."""
    with tempfile.TemporaryDirectory(dir=scratch, prefix="compare-") as folder:
        files = Path(folder) / "asked.json", Path(folder) / "answer.json"
        files[0].write_bytes(ASKED.dump_json(asked))
        command = [sys.executable, "-m", "worker.compression.measure.apart", *map(str, files)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for line in child.stdout:
                _pass_on(json.loads(line), progress)
        if child.returncode or not files[1].exists():
            raise Refusal(
                "model_does_not_run",
                f"Measuring the models in a process of their own ended with status {child.returncode}. They may need "
                "more memory than the limit allows.",
            )
        found = ANSWER.validate_json(files[1].read_bytes())
    if isinstance(found, Comparison):
        return found
    raise Refusal(found.code, found.detail, field=found.field, layer=found.layer)


def _pass_on(told: dict[str, Any], progress: Progress) -> None:
    if "fraction" in told:
        progress.advance(told["fraction"])
    else:
        progress.log(told["message"], told["level"], **told["values"])


class _Told:
    """Progress as lines of JSON."""

    def step(self, index: int, kind: str) -> None: ...

    def advance(self, fraction: float) -> None:
        print(json.dumps({"fraction": fraction}), flush=True)

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        print(json.dumps({"message": message, "level": level, "values": values}, default=str), flush=True)


def _compared(asked: Asked, folder: Path) -> Comparison:
    def opened(name: str, source: Source | None) -> Samples | None:
        if source is None:
            return None
        (folder / name).mkdir()
        fitting = source.for_inputs(asked.inputs)
        return open_samples(fitting, asked.inputs, folder / name, max_unpacked_bytes=asked.max_unpacked_bytes)

    return compare(
        asked.baseline,
        asked.candidate,
        evaluation=opened("evaluation", asked.evaluation),
        calibration=opened("calibration", asked.calibration),
        overlap=asked.overlap,
        metric=asked.metric,
        benchmark=asked.benchmark,
        seed=asked.seed,
        progress=_Told(),
    )


def main() -> None:
    die_with_parent()
    asked, answer = map(Path, sys.argv[1:])
    found: Comparison | Problem
    try:
        found = _compared(ASKED.validate_json(asked.read_bytes()), asked.parent)
    except Refusal as refusal:
        found = refusal.problem
    answer.write_bytes(ANSWER.dump_json(found))


if __name__ == "__main__":
    main()
