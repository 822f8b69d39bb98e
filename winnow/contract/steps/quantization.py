"""Steps that store numbers in fewer bits."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from winnow.contract.glob import GlobText
from winnow.contract.steps.base import KIND, WHOLE, Need, Patterns, Repair, Samples, Step

WeightRange = Annotated[
    Literal["auto", "full", "reduced"],
    Field(
        default="auto",
        description="Weights in 8 bits (`full`), in 7 (`reduced`), or as the worker's CPU multiplies exactly.",
    ),
]


class Int8Static(Step):
    """Int8 weights and activations, ranges of activations measured on calibration data (Q/DQ format)."""

    needs: ClassVar[frozenset[Need]] = frozenset({"calibration"})
    quantizes: ClassVar[bool] = True
    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"
    writes_qdq: ClassVar[bool] = True

    kind: Literal["int8_static"] = Field(description=KIND)
    calibration: Literal["minmax", "percentile", "entropy", "mse"] = Field(
        default="percentile", description="How the range of an activation follows from what was seen."
    )
    percentile: float = Field(
        default=99.99, gt=50, le=100, description="Share of values inside the range, in percent."
    )
    samples: Samples
    weight_range: WeightRange
    weight_bits: Annotated[Literal[8, 4], WHOLE] = Field(
        default=8, description="Bits of a weight; activations have 8."
    )
    target: Literal["auto", "cpu_vnni", "cpu", "arm", "cuda"] = Field(
        default="auto",
        description="The machine that the model will run on; by itself the job's target where rules say what that "
        "takes, else the one that the worker runs on.",
    )
    bias_correction: bool = Field(
        default=True, description="Biases take up the mean error of each channel on the calibration data."
    )
    equalize: bool = Field(
        default=False,
        description="Even out the ranges of channels between layers (cross-layer equalisation).",
    )
    smooth: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="SmoothQuant's alpha: how much of the activations' outliers goes into the weights; null "
        "for none.",
    )
    repair: Repair
    adaround: bool = Field(
        default=False, description="Learn for each weight whether it is rounded up or down (AdaRound)."
    )
    exclude: Annotated[list[GlobText], Field(max_length=100)] | Literal["auto"] = Field(
        default_factory=list,
        description="Patterns of node names that stay float, or `auto`: the most sensitive ones, until the "
        "requirements hold.",
    )

    @property
    def may_keep_original(self) -> bool:
        return self.exclude == "auto" and self.target != "cuda"


class Int8Dynamic(Step):
    """Int8 weights; activations are quantized while the model runs. Needs data only for `smooth`."""

    quantizes: ClassVar[bool] = True
    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"

    kind: Literal["int8_dynamic"] = Field(description=KIND)
    weight_range: WeightRange
    smooth: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="SmoothQuant's alpha: how much of the activations' outliers goes into the weights of "
        "products "
        "behind a layer normalisation; null for none. Needs calibration data.",
    )
    exclude: Patterns

    @property
    def required(self) -> frozenset[Need]:
        return frozenset(set() if self.smooth is None else {"calibration"})


class Float16(Step):
    """Half-precision weights and arithmetic. Needs no data."""

    halves: ClassVar[bool] = True

    kind: Literal["float16"] = Field(description=KIND)
    keep_io_types: bool = Field(default=True, description="Inputs and outputs stay float32.")
    exclude: Patterns


class BFloat16(Step):
    """Weights stored in bfloat16: the range of float32, with 8 bits of precision. Arithmetic stays as it is."""

    halves: ClassVar[bool] = True
    chooses: ClassVar[bool] = True

    kind: Literal["bfloat16"] = Field(description=KIND)
    exclude: Patterns
