"""Steps that choose how each layer is quantized by measuring it."""

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from winnow.contract.steps.base import KIND, WHOLE, Need, Patterns, Repair, Samples, Step

STATIC_CANDIDATE: Final = "static, "
"""What the names of candidates of `int8` with static ranges begin with."""


class Int8(Step):
    """The best of the ways to 8 bits, found by measuring them on this machine; for convolutions it needs calibration
    data."""

    quantizes: ClassVar[bool] = True
    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"

    kind: Literal["int8"] = Field(description=KIND)
    prefer: Literal["latency", "quality"] = Field(
        default="latency", description="What decides between candidates that the requirements allow."
    )
    max_drop: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None,
        description="Loss that a candidate may cost: of the metric with labelled calibration data, else "
        "relative "
        "error of the outputs; null for what the step thinks is harmless.",
    )
    samples: Samples
    exclude: Patterns
    repair: Repair
    candidate: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        default=None,
        description="Only this candidate, by the name that a report calls the chosen one: nothing is timed, and what "
        "the model has none of is refused. Null for the best.",
        examples=["static, mse"],
    )
    float_layers: list[Annotated[str, Field(max_length=1000)]] = Field(
        default_factory=list,
        max_length=10_000,
        description="With a static `candidate`: the layers that stayed float in it; of those that measuring chose "
        "(the slower, the most sensitive) the recipe has to name some.",
        examples=[["/head/fc"]],
    )

    @model_validator(mode="after")
    def _layers_of_a_candidate(self) -> Self:
        if self.float_layers and not (self.candidate or "").startswith(STATIC_CANDIDATE):
            raise ValueError("float_layers are those of a static candidate: name it, or use exclude")
        return self


class MixedPrecision(Step):
    """Bits for each layer, float, 8 or 4, by what each costs and gains."""

    needs: ClassVar[frozenset[Need]] = frozenset({"calibration"})
    quantizes: ClassVar[bool] = True
    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"
    writes_qdq: ClassVar[bool] = True

    kind: Literal["mixed_precision"] = Field(description=KIND)
    max_size_ratio: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="Size of the file after / before, at most."
    )
    min_speedup: Annotated[float, Field(gt=0, le=100)] | None = Field(
        default=None, description="Estimated from the measured time of each layer, at least."
    )
    min_snr_db: float | None = Field(
        default=None, ge=-100, le=200, description="Signal to noise of the outputs, at least, in dB."
    )
    sensitivity: Literal["measured", "hessian"] = Field(
        default="measured",
        description="What a layer costs: by quantizing it alone, or by the trace of its Hessian (HAWQ-V2).",
    )
    samples: Samples
    exclude: Patterns
    repair: Repair
    bits: dict[Annotated[str, Field(max_length=1000)], Annotated[Literal[8, 4], WHOLE]] | None = Field(
        default=None,
        max_length=10_000,
        description="These layers alone in so many bits, as a report names what it chose: nothing is measured. "
        "Null for what the budget allows.",
        examples=[{"/head/fc": 8}],
    )

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        budgets = [self.max_size_ratio, self.min_speedup, self.min_snr_db]
        if sum(budget is not None for budget in budgets) != 1:
            raise ValueError("give exactly one budget: max_size_ratio, min_speedup or min_snr_db")
        return self
