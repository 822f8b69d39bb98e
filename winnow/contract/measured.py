"""Two models measured side by side without a job: what `python -m worker.compression.measured` reads and answers."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from winnow.contract.base import RequestModel, ResponseModel
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.report import Environment, Latency, Pair, Quality
from winnow.contract.target import DEFAULT_TARGET, Target


class MeasuredData(RequestModel):
    """A dataset of this machine. `judging` is what its rows are there for, as in the job that it is compared with:
    `all` of them judge, the last quarter of one that is `split`, or the second of two `halves`."""

    path: Path
    declaration: Declaration = Field(default_factory=Declaration)
    slice: tuple[int, int] | None = None
    map: dict[str, str] = Field(default_factory=dict)
    judging: Literal["all", "split", "halves"] = "all"


class MeasureRequest(RequestModel):
    """`original` is what the candidate is measured against, itself where only its own figures are wanted; `times`:
    whether speed is measured."""

    original: Path
    candidate: Path
    data: MeasuredData | None = None
    evaluation: Evaluation | None = None
    benchmark: Benchmark = Field(default_factory=Benchmark)
    seed: int = 0
    target: Target = DEFAULT_TARGET
    times: bool = False


class Measured(ResponseModel):
    """As in a report."""

    original_sha256: str
    size_bytes: Pair
    quality: list[Quality]
    latency: list[Latency]
    environment: Environment
    notes: list[str]
