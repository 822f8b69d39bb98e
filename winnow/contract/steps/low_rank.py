"""The step that writes a weight as a product of smaller ones."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from winnow.contract.steps.base import KIND, Need, Patterns, Samples, Step


class LowRank(Step):
    """Replace layers by two or three smaller ones, where that saves multiplications."""

    without_data: ClassVar[str] = " Or fit to the weights alone: data_aware false."
    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"
    chooses: ClassVar[bool] = True

    kind: Literal["low_rank"] = Field(description=KIND)
    convolution: Literal["auto", "tucker", "spatial", "channel"] = Field(
        default="auto",
        description="How a k×k convolution is split: `tucker` (1×1, k×k, 1×1), `spatial` (k×1, 1×k), "
        "`channel` "
        "(k×k, 1×1), or the one with the least error for the same cost.",
    )
    data_aware: bool | None = Field(
        default=None,
        description="Fit the outputs on calibration data, not the weights alone; null where there is some.",
    )
    rank: Literal["energy", "macs", "parameters", "vbmf"] = Field(
        default="macs", description="What the ranks follow from."
    )
    amount: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.5,
        description="For `macs` and `parameters`: the share that goes, of all layers together that have a "
        "split which "
        "saves something.",
    )
    energy: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.95,
        description="For `energy`: the share of the squared singular values that each layer keeps.",
    )
    samples: Samples
    exclude: Patterns

    @property
    def required(self) -> frozenset[Need]:
        return frozenset({"calibration"} if self.data_aware else set())
