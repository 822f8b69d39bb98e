"""A dataset: arrays in an `.npz` and a declaration of how they become a model's inputs.

A sample of input `i` is made from row `r` of its array as

    x = (transpose(array[r]) * scale - mean) / std

where `mean` and `std` go along the channel axis, and `layout` moves the last axis to the front.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from app.contract.base import Asked, Told
from app.contract.errors import Problem
from app.contract.model import UploadState

Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Positive = Annotated[float, Field(gt=0)]
Augmentation = Literal["horizontal_flip", "padded_crop"]


class InputDeclaration(Asked):
    """How one array becomes one input. All but `array` is optional; integers become float32 when scaled."""

    array: str
    layout: Literal["NHWC->NCHW"] | None = None
    add_axis: int | None = Field(
        default=None,
        ge=-64,
        le=64,
        description="Insert an axis of length 1 here (counted with the batch axis), after layout.",
    )
    scale: float | None = None
    mean: list[float] | None = None
    std: list[Positive] | None = None


class TargetDeclaration(Asked):
    array: str


class Declaration(Asked):
    """How the arrays are to be read. Without one, every array is an input by its own name, `labels` the target."""

    inputs: dict[str, InputDeclaration] = Field(default_factory=dict)
    constants: dict[str, Int64 | float | bool] = Field(
        default_factory=dict, description="Inputs that are the same number for every sample."
    )
    targets: TargetDeclaration | None = None
    augment: list[Augmentation] = Field(
        default_factory=list, description="Kept for training steps; measuring and calibrating never augment."
    )


class ArrayFacts(Told):
    """One array of the archive. `min`, `max` ignore what is not finite; `first_not_finite` is an index into it."""

    dtype: str
    shape: list[int]
    min: float | None
    max: float | None
    finite: bool
    first_not_finite: list[int] | None


class DatasetInput(Told):
    """An input as the declaration makes it: `shape` is that of one sample, without the batch axis."""

    dtype: str
    shape: list[int]
    array: str | None


class DatasetFacts(Told):
    """What inspection learns: `inputs` by declared name, `target` the array of labels, `samples` the rows."""

    samples: int
    arrays: dict[str, ArrayFacts]
    inputs: dict[str, DatasetInput]
    target: str | None


class Dataset(Told):
    """`GET /v1/datasets/{id}`. The facts are null until the dataset is ready."""

    id: str
    name: str
    state: UploadState
    problem: Problem | None
    sha256: str
    size_bytes: int
    declaration: Declaration
    samples: int | None
    arrays: dict[str, ArrayFacts] | None
    inputs: dict[str, DatasetInput] | None
    target: str | None
    created_at: datetime
