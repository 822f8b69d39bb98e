"""What crosses the border: the task going in, messages coming out. JSON both ways."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from app.contract.base import Asked
from app.contract.dataset import Declaration
from app.contract.errors import Problem
from app.contract.job import Benchmark, Evaluation
from app.contract.model import ModelFormat, TensorSpec
from app.contract.recipe import Recipe, Requirements


class InspectModel(Asked):
    kind: Literal["inspect_model"]
    path: Path
    format: ModelFormat
    declared: list[TensorSpec]
    scratch: Path
    allow_torchscript: bool
    max_unpacked_bytes: int


class InspectDataset(Asked):
    kind: Literal["inspect_dataset"]
    path: Path
    declaration: Declaration
    scratch: Path
    max_unpacked_bytes: int


class Rows(Asked):
    """`worker.compression.data.source.Source`, as JSON."""

    path: Path
    declaration: Declaration
    slice: tuple[int, int] | None
    map: dict[str, str]


class Compress(Asked):
    """`models` are the other ones that steps name: id → ONNX file (or the archive that it came in)."""

    kind: Literal["compress"]
    model: Path
    models: dict[str, Path] = Field(default_factory=dict)
    recipe: Recipe
    calibration: Rows | None
    training: Rows | None
    evaluation_data: Rows | None
    out_dir: Path
    evaluation: Evaluation | None
    require: Requirements
    benchmark: Benchmark
    seed: int
    max_unpacked_bytes: int


Task = Annotated[InspectModel | InspectDataset | Compress, Field(discriminator="kind")]


class Limits(Asked):
    """`memory_bytes` is for the whole process group; `mapped_bytes` what files may take of the address space."""

    seconds: float
    memory_bytes: int
    mapped_bytes: int


class Spec(Asked):
    """`parent` is the process that started the guard: when it is gone, so is the reason to work."""

    parent: int
    task: Task
    limits: Limits


class StepBegun(Asked):
    type: Literal["step"] = "step"
    index: int
    kind: str


class Advanced(Asked):
    type: Literal["advance"] = "advance"
    fraction: float


class Logged(Asked):
    type: Literal["log"] = "log"
    message: str
    level: Literal["info", "warning", "error"] = "info"
    values: dict[str, Any] = Field(default_factory=dict)


class Done(Asked):
    type: Literal["done"] = "done"
    result: dict[str, Any]


class Refused(Asked):
    type: Literal["refused"] = "refused"
    problem: Problem


Note = StepBegun | Advanced | Logged
"""A message on the way."""

Message = Annotated[StepBegun | Advanced | Logged | Done | Refused, Field(discriminator="type")]
MESSAGE: TypeAdapter[StepBegun | Advanced | Logged | Done | Refused] = TypeAdapter(Message)
