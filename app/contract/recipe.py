"""The steps of a recipe: a closed union, told apart by a required `kind`.

To add a technique: one member here, one file in `worker/compression/techniques/`, one `case` in its
`__init__.py`, one paragraph in `docs/techniques.md`.
"""

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

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


Share = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=1e6)]

ORIGINAL: Final = "original"
"""The name of the upload that a job compresses, where a model is asked for."""


class Step(Asked):
    """What all steps have in common: what `POST /v1/jobs` checks beforehand.

    `takes` is the kind of graph that a step works on: of floats, with Q/DQ nodes, or either.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()
    quantizes: ClassVar[bool] = False
    takes: ClassVar[Literal["float", "quantized", "any"]] = "any"

    @property
    def needs_labels(self) -> bool:
        """Whether the training data has to have labels."""
        return False

    @property
    def models(self) -> dict[str, str]:
        """Other uploads that the step works with: field → id."""
        return {}


class Int8Static(Step):
    """Int8 weights and activations, ranges of activations measured on calibration data (Q/DQ format)."""

    needs: ClassVar[frozenset[Need]] = frozenset({"calibration"})
    quantizes: ClassVar[bool] = True
    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"

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
    weight_bits: Literal[8, 4] = Field(default=8, description="Bits of a weight; activations have 8.")
    exclude: Patterns


class Int8Dynamic(Step):
    """Int8 weights; activations are quantized while the model runs. Needs no data."""

    quantizes: ClassVar[bool] = True
    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"

    kind: Literal["int8_dynamic"]
    weight_range: WeightRange
    exclude: Patterns


class Float16(Step):
    """Half-precision weights and arithmetic. Needs no data."""

    kind: Literal["float16"]
    keep_io_types: bool = Field(default=True, description="Inputs and outputs stay float32.")
    exclude: Patterns


class Training(Step):
    """What all steps that train have in common."""

    needs: ClassVar[frozenset[Need]] = frozenset({"training"})
    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"

    epochs: int = Field(default=3, ge=1, le=100_000, description="Passes over the training data.")
    steps: int | None = Field(
        default=None, ge=1, le=100_000_000, description="Optimizer steps; when given, `epochs` is not used."
    )
    batch_size: int = Field(default=128, ge=1, le=65536)
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="SGD has momentum 0.9.")
    learning_rate: float | None = Field(
        default=None, gt=0, le=10, description="The peak rate; found by a short range test when left out."
    )
    warmup: Share = Field(default=0.1, description="Share of the steps in which the rate rises from 0.")
    schedule: Literal["cosine", "constant"] = Field(default="cosine", description="The rate after warm-up.")
    weight_decay: float = Field(default=0.0001, ge=0, le=1)
    clip_norm: float | None = Field(
        default=1.0, gt=0, description="Largest norm of the gradient over all weights; null for none."
    )
    validation: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.05,
        description="Share of the training data held out to choose the best epoch; 0 for none.",
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        description="Stop after so many epochs without a better validation; null for never.",
    )
    batchnorm: Literal["auto", "restored", "folded"] = Field(
        default="auto",
        description="Whether batch normalisation is put back behind convolutions for training, and folded again.",
    )
    augment: bool = Field(default=True, description="Use the augmentation that the dataset declares.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Of the arithmetic: bfloat16 on GPUs that have it, else float32."
    )
    channels_last: bool = Field(default=False, description="Memory layout of images: NHWC instead of NCHW.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="CUDA where there is a GPU, else the CPU."
    )
    output: str | None = Field(default=None, description="The output to train; the model's first when null.")
    exclude: Patterns

    @model_validator(mode="after")
    def _something_to_be_patient_for(self) -> Self:
        if self.patience is not None and self.validation == 0:
            raise ValueError("patience counts epochs without a better validation: give validation a share")
        return self


class Finetune(Training):
    """Train on labels: cross-entropy where they are class numbers, mean squared error where they are reals."""

    kind: Literal["finetune"]
    label_smoothing: Share = Field(default=0.0, description="Share of each label spread over all classes.")

    @property
    def needs_labels(self) -> bool:
        return True


class FeaturePair(Asked):
    """Two values of the graphs that should agree; a learned projection bridges different widths."""

    teacher: str
    student: str
    weight: Weight = 1.0


class Taught(Training):
    """What the steps with a teacher have in common: the parts of the loss and their weights."""

    teacher: str = Field(default=ORIGINAL, description="`original` (the upload), or the id of another model.")
    head: Literal["auto", "classification", "regression", "embedding"] = Field(
        default="auto",
        description="What the output means: classes (KL divergence), numbers (squared error) or directions "
        "(cosine). By itself, classes when the output is [N, C] and C not 1, or hard labels count.",
    )
    temperature: float = Field(
        default=4.0, gt=0, le=1000, description="Softens both sides of the soft labels."
    )
    soft: Weight = Field(default=1.0, description="Weight of the teacher's outputs.")
    hard: Weight = Field(default=0.0, description="Weight of the teacher's most likely class.")
    labels: Weight = Field(default=0.0, description="Weight of the true labels.")
    label_smoothing: Share = Field(default=0.0, description="Share of each label spread over all classes.")
    features: list[FeaturePair] = Field(default_factory=list, max_length=32)
    cache_teacher: bool = Field(
        default=False,
        description="Compute the teacher's outputs once and keep them on disk; without augmentation only.",
    )

    @property
    def needs_labels(self) -> bool:
        return self.labels > 0

    @property
    def needs_teacher(self) -> bool:
        return self.soft > 0 or self.hard > 0 or any(pair.weight > 0 for pair in self.features)

    @property
    def models(self) -> dict[str, str]:
        return {"teacher": self.teacher} if self.teacher != ORIGINAL else {}

    @model_validator(mode="after")
    def _classes_to_choose(self) -> Self:
        if self.hard > 0 and self.head in ("regression", "embedding"):
            raise ValueError(
                f"hard labels are classes, which a {self.head} has not: give soft a weight instead"
            )
        return self

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        if not (self.needs_teacher or self.labels > 0):
            raise ValueError("every weight is 0: give soft, hard, labels or features a weight")
        return self


class Distillation(Taught):
    """Train towards a teacher's outputs; needs no labels. The student is the model of the pipeline, or another."""

    kind: Literal["distillation"]
    student: str | None = Field(
        default=None, description="The id of a model that takes the pipeline's place from here on."
    )

    @property
    def models(self) -> dict[str, str]:
        return super().models | ({"student": self.student} if self.student else {})

    @model_validator(mode="after")
    def _a_teacher(self) -> Self:
        if not self.needs_teacher:
            raise ValueError("only the labels have a weight: that is the step finetune")
        return self


class QuantizationAwareTraining(Taught):
    """Train weights and scales of a graph with Q/DQ nodes, through the rounding; the nodes stay the same."""

    takes: ClassVar[Literal["float", "quantized", "any"]] = "quantized"

    kind: Literal["quantization_aware_training"]


AnyStep = Annotated[
    Int8Static | Int8Dynamic | Float16 | Finetune | Distillation | QuantizationAwareTraining,
    Field(discriminator="kind"),
]


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
