"""A dataset: the columns of a file, and what inspection learns of them. `declaration` says how they are read."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from winnow.contract.base import ResponseModel
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Problem
from winnow.contract.model import UploadState
from winnow.contract.pinning import PINNED

DatasetFormat = Literal["npz", "npy", "zip", "tar", "parquet", "csv", "jsonl", "wav", "flac"]
"""Also what the names of such files end with."""


class ArrayFacts(ResponseModel):
    """One array or column. `min`, `max` ignore what is not finite; `first_not_finite` is an index into it."""

    dtype: str = Field(
        description="Type of its elements, as numpy names it; `image`, `audio`, `text`, `boxes` where it is that."
    )
    shape: list[int | None] = Field(
        description="Its size along each axis, the samples first; null along axes that differ from sample to sample."
    )
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
    one_hot_axes: list[int] | None = Field(
        default=None,
        description="Of places, the axes along which each is a single one among zeros: 1 for [N, C, …], the last for "
        "[N, steps, C]; none of rows; null where not looked at.",
    )


class DatasetInput(ResponseModel):
    """An input as the declaration makes it: `shape` is that of one sample, without the batch axis."""

    dtype: str = Field(
        description="Type of its elements, after scaling; `state` where it is carried from an output of the model."
    )
    shape: list[int | None] = Field(
        description="Of one sample, without the axis of the samples; null along axes that differ from sample to sample."
    )
    array: str | None = Field(description="The array or column that it is made of; null for a constant.")


class DatasetFacts(ResponseModel):
    """What inspection learns: `inputs` by declared name, `target` the array of labels, `samples` the rows."""

    samples: int = Field(description="Number of samples: the rows that all arrays have.")
    arrays: dict[str, ArrayFacts] = Field(description="The arrays of the archive by name.")
    inputs: dict[str, DatasetInput] = Field(description="The inputs as declared, by name.")
    target: str | None = Field(
        description="The array or column that holds the labels; null where there are none."
    )
    classes: list[str] | None = Field(
        default=None,
        description="Names of the classes in the order of their numbers; null where none are known.",
    )
    skipped: int = Field(default=0, description="Samples that were left out because they cannot be read.")
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
    classes: list[str] | None = Field(
        default=None,
        description="Names of the classes in the order of their numbers; null until ready, and where none are known.",
    )
    skipped: int | None = Field(
        default=None,
        description="Samples that were left out because they cannot be read; null until it is ready.",
    )
    notes: list[str] | None = Field(
        default=None,
        description="What looks wrong with the data without being refused, for people; null until it was inspected.",
    )
    pinned: bool = Field(default=False, description=PINNED)
    created_at: datetime = Field(description="When it was uploaded.")
