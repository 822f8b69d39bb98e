"""The step that makes a smaller network of the same kind out of the graph, to be trained by distillation behind it."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from winnow.contract.base import RequestModel
from winnow.contract.steps.base import KIND, Patterns, Samples, Step

Kept = Annotated[float, Field(gt=0, le=1)]
StudentTarget = Literal["macs", "parameters", "latency"]


class StudentSettings(RequestModel):
    """What a student is to be like: `width` and `depth` as shares, or a target that its width is made for."""

    width: Kept = Field(
        default=1.0,
        description="Share of the channels of each group that stay (of hidden widths, heads and maps). With a target "
        "it is found, and left out here.",
    )
    depth: Kept = Field(
        default=1.0,
        description="Share of the residual blocks that stay, of a transformer its layers, evenly spaced.",
    )
    target: StudentTarget | None = Field(
        default=None,
        description="What is to shrink by `amount`: the width is cut until it has, behind what depth brings. Null: "
        "width and depth alone say how large it is.",
    )
    amount: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="With a target: the share of it that goes."
    )
    init: Literal["teacher", "fresh"] = Field(
        default="teacher",
        description="Weights of the blocks and channels that stay (`teacher`), or new ones drawn with the seed "
        "(`fresh`): He for convolutions, Glorot for products.",
    )
    round_to: int | None = Field(
        default=None,
        ge=1,
        le=512,
        description="Channels stay in multiples of this. By itself: with a target 8 in groups of 16 channels or more, "
        "and a width has to divide each group.",
    )
    exclude: Patterns

    @model_validator(mode="after")
    def _target_or_width(self) -> Self:
        if self.target is None and self.amount is not None:
            raise ValueError(
                "amount is the share of a target that goes: name the target too, or leave it out"
            )
        if self.target is not None and self.amount is None:
            raise ValueError(f"the target {self.target} needs an amount: the share of it that goes")
        if self.target is not None and self.width != 1:
            raise ValueError(f"width is found for the target {self.target}: leave one of both out")
        return self


class Student(Step, StudentSettings):
    """Make a smaller network of the same kind, which takes the model's place: evenly spaced blocks, fewer channels,
    with the weights of what stays or with new ones. Train it with distillation behind it."""

    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"

    kind: Literal["student"] = Field(description=KIND)
    samples: Samples
