"""Steps that store weights in a few bits or values and leave the arithmetic in floats: for size."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from winnow.contract.steps.base import KIND, WHOLE, Need, Patterns, Samples, Step

Taken = Annotated[
    Literal["all", "products"],
    Field(
        default="all", description="Layers to take: `products` leaves all but matrix products as they are."
    ),
]


class WeightOnly(Step):
    """Weights in 8, 4, 3 or 2 bits with a scale for each block of inputs; activations stay float."""

    without_data: ClassVar[str] = " Or round without data: method hqq or rtn."
    quantizes: ClassVar[bool] = True
    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"
    chooses: ClassVar[bool] = True

    kind: Literal["weight_only"] = Field(description=KIND)
    bits: Annotated[Literal[8, 4, 3, 2], WHOLE] = Field(default=4, description="Bits of a weight.")
    embedding_bits: Annotated[Literal[8, 4, 3, 2], WHOLE] | None = Field(
        default=None, description="Bits of embedding tables; null for as many as other weights."
    )
    head_bits: Annotated[Literal[8, 4, 3, 2], WHOLE] | None = Field(
        default=None,
        description="Bits of output heads, the last products before outputs of the model; null for as many as other "
        "weights. A table that a head reads too is stored once, in the more bits of both.",
    )
    block: int = Field(
        default=32,
        ge=0,
        le=4096,
        description="Inputs that share a scale; 0 for all of an output channel.",
    )
    symmetric: bool = Field(default=False, description="No zero points: the range is as wide on both sides.")
    method: Literal["rtn", "gptq", "hqq", "awq"] = Field(
        default="hqq",
        description="`rtn` rounds to nearest; `hqq` fits scales and zero points to the weights; `gptq` fits "
        "the outputs on calibration data; `awq` scales inputs of products by their size on calibration data, then as "
        "`hqq`.",
    )
    act_order: bool = Field(
        default=True, description="For `gptq`: the inputs that matter most are rounded first."
    )
    layers: Taken
    samples: Samples
    exclude: Patterns

    @property
    def widths(self) -> frozenset[int]:
        """All bits that a weight may get."""
        return frozenset({self.bits, self.embedding_bits or self.bits, self.head_bits or self.bits})

    @property
    def required(self) -> frozenset[Need]:
        return frozenset({"calibration"} if self.method in ("gptq", "awq") else set())

    @model_validator(mode="after")
    def _block_that_runtimes_take(self) -> Self:
        if self.block and (self.block < 16 or self.block & (self.block - 1)):
            raise ValueError(f"block is a power of 2 from 16, or 0 for a whole channel, not {self.block}")
        return self


class Palette(Step):
    """Weights shared by k-means: each is an index into a codebook of a few values."""

    quantizes: ClassVar[bool] = True
    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"
    chooses: ClassVar[bool] = True
    stores_few_values: ClassVar[bool] = True

    kind: Literal["palette"] = Field(description=KIND)
    colors: int = Field(default=16, ge=2, le=256, description="Values in a codebook.")
    codebook: Literal["tensor", "channel"] = Field(
        default="tensor", description="One for each tensor, or for each output channel."
    )
    layers: Taken
    exclude: Patterns


class Binary(Step):
    """Weights of one bit: their sign, with a scale for each output channel."""

    quantizes: ClassVar[bool] = True
    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"
    chooses: ClassVar[bool] = True
    stores_few_values: ClassVar[bool] = True

    kind: Literal["binary"] = Field(description=KIND)
    layers: Taken
    exclude: Patterns
