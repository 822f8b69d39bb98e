"""What a model's file consists of, and which of its channels can be cut: what a forecast of its size rests on."""

from typing import Annotated, Literal

from pydantic import Field

from winnow.contract.base import ResponseModel

AxisChannels = list[tuple[int, int]]
"""Of one axis: the groups whose channels lie along it, each with the number of its indices."""

Place = Annotated[int, Field(ge=0)]


class ChannelGroup(ResponseModel):
    """Channels that can be cut, one by one or many: each with the slices of all weights that belong to it."""

    channels: int = Field(description="How many there are; one of them has to stay.")
    producers: list[Place] = Field(
        description="Places in the layer table of the layers that make them; excluded with any of these."
    )
    unit: Literal["channel", "head", "head_width", "embedding"] = Field(
        default="channel",
        description="What each is: `head` for one of attention, with all that goes with it.",
    )
    width: int = Field(default=1, description="Of a head; 1 for other channels.")


class EmbeddingWidth(ResponseModel):
    """The width of residual streams that are normalised: channels that all layers read and write."""

    channels: int = Field(description="How many there are.")
    pinned: str | None = Field(description="Why they cannot be cut, as a clause; null where they can.")


class StoredWeights(ResponseModel):
    """Constants of the same type and shape along the same channels; a layer's weight stands alone."""

    count: int = Field(description="How many there are.")
    shape: list[int] = Field(description="Of each.")
    dtype: str = Field(description="Of their numbers, as numpy names it.")
    learnt: bool = Field(description="Whether they count as parameters.")
    readers: list[Place] = Field(
        description="Places in the layer table of the layers whose weight it is; none of biases and the like."
    )
    outputs_axis: int | None = Field(
        description="The axis that counts outputs (of a table, rows); null where it is no plain matrix."
    )
    groups: int = Field(description="Of a convolution, else 1: matrices that it consists of.")
    nested: bool = Field(description="Whether it stands in a branch or a loop, which steps leave alone.")
    channels: list[AxisChannels] = Field(description="For each axis, whose channels lie along it.")
    head: bool | None = Field(
        default=None,
        description="Whether an output head reads it, the last product before an output of the model; null where it "
        "was inspected before that was looked for.",
    )


class ActivationProduct(ResponseModel):
    """A product of what the model computes: no weight, but multiply-accumulates that a cut makes fewer."""

    macs: int = Field(description="Multiply-accumulates for one sample.")
    shape: list[int] = Field(description="Sizes that these are the product of, as far as channels lie there.")
    channels: list[AxisChannels] = Field(description="For each of the sizes, whose channels it counts.")


class Stored(ResponseModel):
    """The file that the service writes of the unchanged model."""

    file_bytes: int = Field(description="Its size.")
    weights: list[StoredWeights] = Field(description="All of its constants that hold floats or integers.")
    products: list[ActivationProduct] = Field(description="Its products of two activations.")
