"""The steps of a recipe: a closed union, told apart by a required `kind`.

To add a technique: one member here, one file in `worker/compression/techniques/`, one `case` in its
`__init__.py`, one paragraph in `docs/techniques.md`.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from app.contract.base import Asked

Need = Literal["calibration", "training", "evaluation"]

Patterns = Annotated[
    list[str],
    Field(
        default_factory=list,
        max_length=100,
        description="Shell-style patterns (`*/head/*`) of node names that stay as they are.",
    ),
]

WeightRange = Annotated[
    Literal["auto", "full", "reduced"],
    Field(
        default="auto",
        description="Weights in 8 bits (`full`), in 7 (`reduced`), or as the worker's CPU multiplies exactly.",
    ),
]


class Step(Asked):
    """What all steps have in common. `needs` and `quantizes` are what `POST /v1/jobs` checks beforehand."""

    needs: ClassVar[frozenset[Need]] = frozenset()
    quantizes: ClassVar[bool] = False


class Int8Static(Step):
    """Int8 weights and activations, ranges of activations measured on calibration data (Q/DQ format)."""

    needs: ClassVar[frozenset[Need]] = frozenset({"calibration"})
    quantizes: ClassVar[bool] = True

    kind: Literal["int8_static"]
    calibration: Literal["minmax", "percentile", "entropy"] = Field(
        default="percentile", description="How the range of an activation follows from what was seen."
    )
    percentile: float = Field(
        default=99.99, gt=50, le=100, description="Share of values inside the range, in percent."
    )
    samples: int = Field(
        default=512, ge=1, le=100_000, description="Calibration samples drawn with the seed."
    )
    weight_range: WeightRange
    exclude: Patterns


class Int8Dynamic(Step):
    """Int8 weights; activations are quantized while the model runs. Needs no data."""

    quantizes: ClassVar[bool] = True

    kind: Literal["int8_dynamic"]
    weight_range: WeightRange
    exclude: Patterns


class Float16(Step):
    """Half-precision weights and arithmetic. Needs no data."""

    kind: Literal["float16"]
    keep_io_types: bool = Field(default=True, description="Inputs and outputs stay float32.")
    exclude: Patterns


AnyStep = Annotated[Int8Static | Int8Dynamic | Float16, Field(discriminator="kind")]


class Recipe(Asked):
    """Steps in the order in which they are done."""

    steps: list[AnyStep] = Field(min_length=1, max_length=20)


class Requirements(Asked):
    """What the result must meet. Each is optional; a job that meets all of them is `accepted`."""

    max_metric_drop: float | None = Field(
        default=None,
        ge=0,
        description="Largest loss in the metric's worse direction, absolute (0.01 = one point of top-1), "
        "judged on the bound of its paired bootstrap interval.",
    )
    min_speedup: float | None = Field(
        default=None,
        gt=0,
        description="Smallest speed-up at the first benchmark entry, judged on its interval's lower bound.",
    )
    max_size_ratio: float | None = Field(default=None, gt=0, description="Largest size after / size before.")
    min_cosine: float | None = Field(
        default=None, ge=-1, le=1, description="Smallest cosine between outputs before and after."
    )
