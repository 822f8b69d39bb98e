"""Compare in a process of its own, for models whose weights the caller had better not hold.

    python -m worker.compression.measure.compare_apart COMPARING.json COMPARED.json

prints one JSON object for each sign of progress, and writes the comparison, or the problem that refused it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from winnow.contract.errors import Problem, Refusal
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.measure.apart.parent import die_with_parent
from worker.compression.measure.apart.processes import Comparing, Comparison, MeasuringProcesses, ProcessEnded
from worker.compression.measure.apart.subprocesses import COMPARED, COMPARING, Subprocesses
from worker.compression.measure.compare import compare
from worker.compression.progress import Progress
from worker.compression.runtime.state import state_arrays


def compare_apart(
    comparing: Comparing, scratch: Path, progress: Progress, processes: MeasuringProcesses
) -> Comparison:
    """Compare in another process. Raises what `compare` raises; `model_does_not_run` when the process ends early."""
    try:
        return processes.compare(comparing, scratch, progress)
    except ProcessEnded as ended:
        raise Refusal(
            "model_does_not_run",
            f"Measuring the models in a process of their own {ended}. They may need more memory than the limit "
            "allows.",
        ) from ended


def open_and_compare(
    comparing: Comparing, folder: Path, progress: Progress, processes: MeasuringProcesses
) -> Comparison:
    """Unpack the data into `folder` and compare. Raises what `open_samples` and `compare` raise."""

    def opened(name: str, source: Source | None) -> Samples | None:
        if source is None:
            return None
        (folder / name).mkdir()
        fitting = source.for_inputs(comparing.inputs)
        limit = comparing.max_unpacked_bytes
        states = state_arrays(
            comparing.baseline, fitting, comparing.inputs, folder / name, max_unpacked_bytes=limit
        )
        return open_samples(fitting, comparing.inputs, folder / name, max_unpacked_bytes=limit, states=states)

    return compare(
        comparing.baseline,
        comparing.candidate,
        evaluation=opened("evaluation", comparing.evaluation),
        calibration=opened("calibration", comparing.calibration),
        overlap=comparing.overlap,
        metric=comparing.metric,
        benchmark=comparing.benchmark,
        seed=comparing.seed,
        progress=progress,
        processes=processes,
        extent=comparing.extent,
        target=comparing.target,
        remaining=opened("remaining", comparing.remaining),
        split=comparing.split,
    )


class _Printed:
    """Progress as lines of JSON."""

    def step(self, index: int, kind: str) -> None: ...

    def advance(self, fraction: float) -> None:
        print(json.dumps({"fraction": fraction}), flush=True)

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        print(json.dumps({"message": message, "level": level, "values": values}, default=str), flush=True)


def main() -> None:
    die_with_parent()
    comparing, compared = map(Path, sys.argv[1:])
    result: Comparison | Problem
    try:
        request = COMPARING.validate_json(comparing.read_bytes())
        result = open_and_compare(request, comparing.parent, _Printed(), Subprocesses())
    except Refusal as refusal:
        result = refusal.problem
    compared.write_bytes(COMPARED.dump_json(result))


if __name__ == "__main__":
    main()
