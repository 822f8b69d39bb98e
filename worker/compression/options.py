"""What a compression is judged by and how it is measured, besides the recipe."""

from dataclasses import dataclass, field
from pathlib import Path

from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Requirements
from winnow.contract.target import DEFAULT_TARGET, Target
from worker.compression.measure.apart.processes import MeasuringProcesses
from worker.compression.measure.apart.subprocesses import Subprocesses


@dataclass(frozen=True)
class Options:
    """`seed` decides every draw. `max_unpacked_bytes` bounds what an archive may become on disk.

    `models` are the files of the other models that steps name: by the id that the recipe has for them.
    `processes` start those in which models are measured, and `target` is the runtime that measures.
    """

    evaluation: Evaluation | None = None
    require: Requirements = field(default_factory=Requirements)
    benchmark: Benchmark = field(default_factory=Benchmark)
    seed: int = 0
    max_unpacked_bytes: int = 32 * 2**30
    models: dict[str, Path] = field(default_factory=dict)
    processes: MeasuringProcesses = field(default_factory=Subprocesses)
    target: Target = DEFAULT_TARGET
