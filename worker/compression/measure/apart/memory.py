"""Measure what loading and running a model takes, in a fresh process."""

import tempfile
from pathlib import Path

import numpy as np

from winnow.contract.errors import Refusal
from winnow.contract.target import DEFAULT_TARGET, Target
from worker.compression.measure.apart.processes import Loaded, MeasuringProcesses, ProcessEnded
from worker.compression.measure.network import Feed


def measure_fresh(
    model: Path,
    feed: Feed,
    threads: int,
    role: str,
    processes: MeasuringProcesses,
    target: Target = DEFAULT_TARGET,
) -> Loaded:
    """Measure in a process of its own. Refuses with `model_does_not_run` when it fails or takes over 10 minutes."""
    with tempfile.TemporaryDirectory(prefix="winnow-fresh-") as folder:
        arrays = Path(folder) / "feed.npz"
        np.savez(
            arrays,
            allow_pickle=False,
            **{str(i): x for i, x in enumerate(feed.values())},
            names=np.array(list(feed)),
        )
        try:
            return processes.load(model, arrays, threads, target)
        except ProcessEnded as ended:
            raise Refusal(
                "model_does_not_run",
                f"Loading and running {role} in a fresh process {ended}. It may need more memory than the limit "
                "allows.",
            ) from ended
