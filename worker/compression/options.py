"""What a compression is judged by and how it is measured, besides the recipe."""

from dataclasses import dataclass, field
from pathlib import Path

from winnow.contract.evaluation import Evaluation
from winnow.contract.generate import Generate
from winnow.contract.job import Benchmark, ClosedJob
from winnow.contract.recipe import Requirements
from winnow.contract.target import DEFAULT_TARGET, CheckedTarget, CpuFeature, Target
from worker.compression.cache.unfinished import OnKept, tell_nobody
from worker.compression.measure.apart.processes import MeasuringProcesses
from worker.compression.measure.apart.subprocesses import Subprocesses
from worker.compression.measure.extent import WHOLE, Extent, Judging
from worker.compression.names import Names


@dataclass(frozen=True)
class Options:
    """`seed` decides every draw. `max_unpacked_bytes` bounds what an archive may become on disk.

    `models` are the files of the other models that steps name: by the id that the recipe has for them.
    `processes` start those in which models are measured. `judging` is what the result is for. `request` is what the job
    was asked with, where there is one: what the report suggests to try next is written as another.
    `target` is the runtime that measures, `checked` a target whose rules are held against both models, where the job
    is for one; `features` are those of the CPU that it is for, None for this one's. `on_kept` is told of each
    checkpoint. `page`: whether the report is also made into a page. `explain`: whether both models are compared in what
    they look at. `names` stand on the page. `generate`: how a package answers token by token, where that is measured
    and its steps are calibrated on it.
    """

    evaluation: Evaluation | None = None
    require: Requirements = field(default_factory=Requirements)
    benchmark: Benchmark = field(default_factory=Benchmark)
    seed: int = 0
    max_unpacked_bytes: int = 32 * 2**30
    models: dict[str, Path] = field(default_factory=dict)
    processes: MeasuringProcesses = field(default_factory=Subprocesses)
    judging: Judging = "result"
    extent: Extent = WHOLE
    request: ClosedJob | None = None
    target: Target = DEFAULT_TARGET
    checked: CheckedTarget | None = None
    features: list[CpuFeature] | None = None
    on_kept: OnKept = tell_nobody
    page: bool = False
    explain: bool = False
    names: Names = field(default_factory=Names)
    generate: Generate | None = None
