"""Questions about a dataset and a model: how the one is to be read for the other, and what it would be fed."""

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from winnow.contract.base import RequestModel, ResponseModel
from winnow.contract.declaration import Declaration

MAX_PREVIEW_ROWS: Final = 16
MAX_PICTURE_CHARACTERS: Final = 2**21
Picture = Annotated[
    str,
    StringConstraints(
        pattern=r"^data:image/png;base64,[A-Za-z0-9+/]+={0,2}$", max_length=MAX_PICTURE_CHARACTERS
    ),
]
"""A PNG as a data URI: an answer is JSON, and never served as a picture."""


class ProposeRequest(RequestModel):
    """`POST /v1/datasets/propose`."""

    model: str = Field(description="Id of the model; it has to be ready.")
    dataset: str = Field(description="Id of the dataset; it may have been rejected for its declaration.")


class Inquiry(ResponseModel):
    """A question that is still to be answered, at `GET /v1/inquiries/{id}`."""

    id: str = Field(description="Of the question, made by the service.")
    kind: Literal["propose", "preview", "page"] = Field(description="What was asked.")
    state: Literal["inspecting", "ready", "rejected"] = Field(description="How far it is.")
    model: str | None = Field(description="Id of the model that it is about; null of a page.")
    dataset: str | None = Field(description="Id of the dataset that it is about; null of a page.")
    job: str | None = Field(default=None, description="Id of the job whose page it is about; null of others.")


class Rendered(ResponseModel):
    """The page of a job's report is there: `GET /v1/jobs/{id}/report` with `Accept: text/html`."""

    job: str = Field(description="Id of the job.")
    page_sha256: str = Field(description="Of the page, in hexadecimal.")


class ProposedPart(ResponseModel):
    """One part of a proposed declaration, and what speaks for it."""

    path: str = Field(description="Where in the declaration: `inputs.image.scale`, `targets`.")
    sure: bool = Field(description="Whether it was seen to be right; else it is a guess.")
    because: str = Field(description="What speaks for it, for people.")


class Proposal(ResponseModel):
    """How a dataset is to be read for a model."""

    declaration: Declaration = Field(description="To be used as it is, or to be mended.")
    sure: bool = Field(description="Whether every part was seen to be right.")
    parts: list[ProposedPart] = Field(description="What each part rests on.")
    notes: list[str] = Field(description="What looks wrong with the data, for people.")


class PreviewInput(ResponseModel):
    """What one input of the model is fed with, over the rows of the preview."""

    dtype: str = Field(description="Type of its elements.")
    shape: list[int | None] = Field(
        description="Of one sample; null along axes that differ from sample to sample."
    )
    min: float = Field(description="The smallest number.")
    max: float = Field(description="The largest number.")
    mean: float = Field(description="The mean of the numbers.")
    std: float = Field(description="Their standard deviation.")
    pictures: list[Picture] = Field(
        description="Of inputs that are made of pictures one for each row: the numbers as they are fed, with scale, "
        "mean and std taken back; else empty."
    )


class Preview(ResponseModel):
    """What a model will be fed with."""

    samples: int = Field(description="Number of samples of the dataset.")
    rows: list[int] = Field(description="The rows that are shown.")
    inputs: dict[str, PreviewInput] = Field(description="By the model's names.")
    labels: list[float | str | list[float]] | None = Field(
        description="Of these rows: class names where the data has them, numbers, or of boxes their numbers one "
        "behind the other; null without labels."
    )
    notes: list[str] = Field(description="What looks wrong with what is fed, for people.")
