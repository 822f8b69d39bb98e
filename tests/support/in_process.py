"""Models are loaded and measured in this process: for tests that ask about something else than the measuring."""

from pathlib import Path

from winnow.contract.target import Target
from worker.compression.measure.apart.fresh import feed_of, measure
from worker.compression.measure.apart.processes import Loaded
from worker.compression.measure.apart.subprocesses import Subprocesses


class InProcess(Subprocesses):
    def load(self, model: Path, feed: Path, threads: int, target: Target) -> Loaded:
        return Loaded(**measure(model, feed_of(feed), threads, target))  # type: ignore[arg-type]
