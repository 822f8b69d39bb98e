"""A dataset: arrays in an `.npz` and a declaration of how they become a model's inputs.

A sample of input `i` is made from row `r` of its array as

    x = (transpose(array[r]) * scale - mean) / std

where `mean` and `std` go along the channel axis, and `layout` moves the last axis to the front.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field

from winnow.contract.base import RequestModel, ResponseModel, Whole64
from winnow.contract.errors import Problem
from winnow.contract.model import UploadState

MAX_INPUTS: Final = 1000
MAX_CHANNELS: Final = 10_000
Positive = Annotated[float, Field(gt=0)]
Augmentation = Literal["horizontal_flip", "padded_crop"]
DatasetFormat = Literal["npz"]
"""Also what the names of such files end with."""


class InputDeclaration(RequestModel):
    """How one array becomes one input. All but `array` is optional; integers become float32 when scaled."""

    array: str = Field(description="The array of the archive that the input is made of.")
    layout: Literal["NHWC->NCHW"] | None = Field(
        default=None,
        description="How the last axis, the channels, goes to the front; null to leave the axes as they are.",
    )
    add_axis: int | None = Field(
        default=None,
        ge=-32,
        le=32,
        description="Insert an axis of length 1 here (counted with the batch axis), after layout.",
    )
    scale: float | None = Field(
        default=None, description="Factor for every number, before mean and std; null for none."
    )
    mean: list[float] | None = Field(
        default=None,
        max_length=MAX_CHANNELS,
        description="Subtracted after scaling, one number for each channel, or one for all; null for none.",
    )
    std: list[Positive] | None = Field(
        default=None,
        max_length=MAX_CHANNELS,
        description="Divided by at the end, one number for each channel, or one for all; null for none.",
    )


class TargetDeclaration(RequestModel):
    array: str = Field(description="The array of the archive that holds the labels, one row for each sample.")


class Declaration(RequestModel):
    """How the arrays are to be read. Without one, every array is an input by its own name, `labels` the target."""

    inputs: dict[str, InputDeclaration] = Field(
        description="The inputs by the dataset's own names, which a job can map to a model's; empty for "
        "every array "
        "by its own name.",
        default_factory=dict,
        max_length=MAX_INPUTS,
    )
    constants: dict[str, Whole64 | float | bool] = Field(
        default_factory=dict,
        max_length=MAX_INPUTS,
        description="Inputs that are the same number for every sample.",
    )
    targets: TargetDeclaration | None = Field(
        default=None, description="The labels; null for the array `labels`, where there is one."
    )
    augment: list[Augmentation] = Field(
        default_factory=list,
        max_length=10,
        description="Kept for training steps; measuring and calibrating never augment.",
    )


class ArrayFacts(ResponseModel):
    """One array of the archive. `min`, `max` ignore what is not finite; `first_not_finite` is an index into it."""

    dtype: str = Field(description="Type of its elements, as numpy names it.")
    shape: list[int] = Field(description="Its size along each axis, the samples first.")
    min: float | None = Field(description="The smallest of its finite numbers; null where it has none.")
    max: float | None = Field(description="The largest of its finite numbers; null where it has none.")
    finite: bool = Field(description="Whether no number is NaN or infinite.")
    first_not_finite: list[int] | None = Field(
        description="Index of the first number that is NaN or infinite; null where none is."
    )
    whole: bool | None = Field(
        default=None,
        description="Whether all numbers are whole, whatever their type; null where not looked at.",
    )
    one_hot: bool | None = Field(
        default=None,
        description="Whether each row (or place, with the classes along axis 1) is a single one among zeros, so that "
        "it names a class; null where not looked at.",
    )


class DatasetInput(ResponseModel):
    """An input as the declaration makes it: `shape` is that of one sample, without the batch axis."""

    dtype: str = Field(description="Type of its elements, after scaling.")
    shape: list[int] = Field(description="Of one sample, without the axis of the samples.")
    array: str | None = Field(description="The array that it is made of; null for a constant.")


class DatasetFacts(ResponseModel):
    """What inspection learns: `inputs` by declared name, `target` the array of labels, `samples` the rows."""

    samples: int = Field(description="Number of samples: the rows that all arrays have.")
    arrays: dict[str, ArrayFacts] = Field(description="The arrays of the archive by name.")
    inputs: dict[str, DatasetInput] = Field(description="The inputs as declared, by name.")
    target: str | None = Field(description="The array that holds the labels; null where there are none.")
    notes: list[str] = Field(
        default_factory=list, description="What looks wrong with the data without being refused, for people."
    )


class Rejected(ResponseModel):
    """What inspection learns of a dataset that does not fit its declaration: enough to write a right one."""

    problem: Problem = Field(description="Why it is refused.")
    arrays: dict[str, ArrayFacts] = Field(description="The arrays of the archive by name.")


class Dataset(ResponseModel):
    """`GET /v1/datasets/{id}`. The facts are null until the dataset is ready."""

    id: str = Field(description="Of the dataset, made by the service.")
    name: str = Field(description="What it is called; only people read it.")
    state: UploadState = Field(
        description="`inspecting` until its arrays were checked, then `ready` or `rejected`."
    )
    problem: Problem | None = Field(description="Why it was rejected; null otherwise.")
    sha256: str = Field(description="Of the uploaded bytes, in hexadecimal.")
    size_bytes: int = Field(description="Size of the uploaded archive.")
    declaration: Declaration = Field(description="How the arrays are read.")
    samples: int | None = Field(description="Number of samples; null until it is ready.")
    arrays: dict[str, ArrayFacts] | None = Field(
        description="The arrays of the archive by name, of a rejected one too; null where it could not be opened."
    )
    inputs: dict[str, DatasetInput] | None = Field(
        description="The inputs as declared, by name; null until it is ready."
    )
    target: str | None = Field(
        description="The array that holds the labels; null until it is ready, and where there are none."
    )
    notes: list[str] | None = Field(
        default=None,
        description="What looks wrong with the data without being refused, for people; null until it was inspected.",
    )
    created_at: datetime = Field(description="When it was uploaded.")
