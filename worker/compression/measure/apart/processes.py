"""Processes that have done nothing else, in which models are measured; who starts them is the caller's to say.

Used from the command line, the library starts them itself (`subprocesses`). In the service the process that does a
job may start nothing, and asks the worker to do it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from pydantic import TypeAdapter

from winnow.contract.arithmetic import Arithmetic
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.model import TensorSpec
from winnow.contract.report import Energy, Environment, Latency, Pair, Parity, Quality
from winnow.contract.robustness import Robustness
from winnow.contract.target import DEFAULT_TARGET, Target
from worker.compression.data.source import Source
from worker.compression.measure.extent import WHOLE, Extent
from worker.compression.measure.timing.disturbance import Disturbance
from worker.compression.progress import Progress


class ProcessEnded(Exception):
    """A measuring process ended before it had an answer. The message is a predicate: "was ended by signal 9"."""


@dataclass(frozen=True)
class Loaded:
    """Milliseconds to make a session; bytes of `RssAnon` that loading and running adds to a fresh process; what else
    ran meanwhile, as in `Disturbance`."""

    load_ms: float
    peak_rss_bytes: int
    others: float = 0.0
    waited: float = 0.0

    @property
    def untold(self) -> str | None:
        """Say why the time tells nothing, as a clause; None where it tells something."""
        return Disturbance(self.others, self.waited).why_untold()


@dataclass(frozen=True)
class Loadable:
    """Why a runtime cannot load a model, None where it can; the operators that stand against it, with their domain."""

    why: str | None
    operators: list[str]


@dataclass(frozen=True)
class Comparison:
    """All that `compare` measured. `quality` has one entry when a metric was asked, else none. `shapes` are those of
    the inputs at the first benchmark entry, timed or not.

    `uncompared`: outputs of the original without an entry in `parity`, and why. `nan_samples`: evaluation samples with
    NaN in the candidate's judged output alone.
    """

    shapes: dict[str, list[int]]
    latency: list[Latency]
    quality: list[Quality]
    parity: list[Parity]
    uncompared: dict[str, str]
    nan_samples: int
    load_ms: Pair | None
    peak_rss_bytes: Pair | None
    environment: Environment
    notes: list[str]
    energy: Energy | None = None
    robustness: Robustness | None = None
    arithmetic: Arithmetic | None = None


COMPARISON: Final = TypeAdapter(Comparison)


@dataclass(frozen=True)
class Comparing:
    """What `compare` is given, with data that is still to be opened for these `inputs`. `remaining` are rows of the
    evaluation data that no step used, where some were; `split`: its part of a split judges."""

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
    extent: Extent = WHOLE
    target: Target = DEFAULT_TARGET
    remaining: Source | None = None
    split: bool = False


class MeasuringProcesses(Protocol):
    """All raise `ProcessEnded`."""

    def load(self, model: Path, feed: Path, threads: int, target: Target) -> Loaded:
        """Measure loading and running the model on the arrays in `feed` (see `fresh`)."""

    def try_loading(self, model: Path, target: Target) -> Loadable:
        """Load the model and do nothing else."""

    def compare(self, comparing: Comparing, scratch: Path, progress: Progress) -> Comparison:
        """Open the data and compare. `scratch` is a folder for the time being. Raises what `compare` raises."""
