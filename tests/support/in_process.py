"""Models are loaded and measured in this process, once: for tests that ask about something else than the measuring."""

from pathlib import Path

from winnow.contract.target import Target
from worker.compression.measure.apart.fresh import feed_of, measure
from worker.compression.measure.apart.processes import Loadable, Loaded
from worker.compression.measure.apart.subprocesses import Subprocesses
from worker.compression.runtime.loading import loaded


class InProcess(Subprocesses):
    def load(self, model: Path, feed: Path, threads: int, target: Target) -> Loaded:
        return Loaded(**measure(model, feed_of(feed), threads, target, most_loads=1))  # type: ignore[arg-type]

    def try_loading(self, model: Path, target: Target) -> Loadable:
        return Loadable(**loaded(model, target))
