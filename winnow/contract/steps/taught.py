"""Steps that learn from a teacher: its outputs, and values inside of it."""

from typing import Annotated, ClassVar, Final, Literal, Self, get_args

from pydantic import Field, model_validator

from winnow.contract.base import RequestModel
from winnow.contract.steps.base import KIND, ORIGINAL, Share, Weight
from winnow.contract.steps.training import Finetune, Training


class FeaturePair(RequestModel):
    """Two values of the graphs that should agree; a learned projection bridges different widths."""

    teacher: str = Field(description="Name of a value in the teacher's graph.")
    student: str = Field(description="Name of a value in the student's graph.")
    weight: Weight = Field(default=1.0, description="Of this pair in the loss.")


ClassAxis = Annotated[int, Field(ge=-8, le=8)]
CLASS_AXIS: Final = (
    "The axis of classes, the samples' axis counted: 1 of [N, C, …] (maps), -1 of [N, steps, C]."
)


class TaughtOutput(RequestModel):
    """One more output of a model that has several."""

    output: str = Field(description="Its name, the teacher's too.", examples=["boxes"])
    weight: Weight = Field(default=1.0, description="Of this output in the loss, beside 1 of the first.")
    head: Literal["auto", "classification", "regression", "embedding"] = Field(
        default="auto", description="What it means, as the step's `head` has it."
    )
    class_axis: ClassAxis = Field(default=1, description=CLASS_AXIS)


class Taught(Training):
    """What the steps with a teacher have in common: the parts of the loss and their weights."""

    teacher: str = Field(default=ORIGINAL, description="`original` (the upload), or the id of another model.")
    head: Literal["auto", "classification", "regression", "embedding", "detection"] = Field(
        default="auto",
        description="What the output means: classes (KL divergence), numbers (squared error), directions (cosine), or "
        "with the others raw boxes and scores, each place as much as the teacher sees an object there. By itself, "
        "classes when the output is [N, C] and C not 1, or hard labels count.",
    )
    class_axis: ClassAxis = Field(default=1, description=CLASS_AXIS)
    outputs: list[TaughtOutput] = Field(
        description="Further outputs that the teacher's `soft` outputs are learned of.",
        default_factory=list,
        max_length=16,
        examples=[[{"output": "boxes", "weight": 0.5}]],
    )
    temperature: float = Field(
        default=4.0, gt=0, le=1000, description="Softens both sides of the soft labels."
    )
    soft: Weight = Field(default=1.0, description="Weight of the teacher's outputs.")
    hard: Weight = Field(default=0.0, description="Weight of the teacher's most likely class.")
    labels: Weight = Field(
        default=0.0,
        description="Weight of the true labels; a class number -1 is no label, so that data may have some.",
    )
    label_smoothing: Share = Field(default=0.0, description="Share of each label spread over all classes.")
    features: Literal["auto"] | Annotated[list[FeaturePair], Field(max_length=32)] = Field(
        default_factory=list,
        description="Values inside both graphs that should agree: pairs of names; or `auto`, which finds them in the "
        "blocks of both, layer by layer.",
    )
    features_first: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="Share of the steps in which the features alone are learned; behind it the outputs alone. 0: both "
        "together, all the time.",
    )
    cache_teacher: bool = Field(
        default=False,
        description="Compute the teacher's outputs once and keep them on disk; without augmentation only.",
    )

    @property
    def needs_labels(self) -> bool:
        return self.labels > 0

    @property
    def needs_teacher(self) -> bool:
        return self.soft > 0 or self.hard > 0 or self.has_features

    @property
    def has_features(self) -> bool:
        return self.features == "auto" or any(pair.weight > 0 for pair in self.features)

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
    def _detections_of_a_teacher(self) -> Self:
        if self.head == "detection" and (self.hard > 0 or self.labels > 0):
            raise ValueError("head detection learns a teacher's boxes and scores: leave hard and labels at 0")
        if self.head == "detection" and self.output is not None:
            raise ValueError(
                "head detection finds the outputs of boxes and scores by itself: leave output out"
            )
        return self

    @model_validator(mode="after")
    def _outputs_that_count(self) -> Self:
        if self.outputs and not self.soft:
            raise ValueError("outputs are learned as soft labels: give soft a weight, or leave outputs out")
        names = [self.output, *(each.output for each in self.outputs)]
        if twice := next((name for name in names if name is not None and names.count(name) > 1), None):
            raise ValueError(f"{twice!r} is learned twice: name each output once")
        return self

    @model_validator(mode="after")
    def _classes_along_an_axis(self) -> Self:
        """Where an axis is named, the output has to mean classes, else the axis would be left unread."""
        meaning = "classification" if self.head == "auto" and self.hard else self.head
        for axis, head in (
            (self.class_axis, meaning),
            *((each.class_axis, each.head) for each in self.outputs),
        ):
            if axis == 0:
                raise ValueError("class_axis 0 is the samples': classes lie along another")
            if axis != 1 and head != "classification":
                raise ValueError(f"class_axis {axis} is where classes lie: set head to classification, too")
        return self

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        if not (self.needs_teacher or self.labels > 0):
            raise ValueError("every weight is 0: give soft, hard, labels or features a weight")
        return self

    @model_validator(mode="after")
    def _two_stages(self) -> Self:
        outputs = self.soft > 0 or self.hard > 0 or self.labels > 0
        if self.features_first and not (self.has_features and outputs):
            lacks = "features, to be learned first" if outputs else "soft, hard or labels, to be learned then"
            raise ValueError(f"features_first makes two stages: give {lacks}, or leave it out")
        return self


class Distillation(Taught):
    """Train towards a teacher's outputs; needs no labels. The student is the model of the pipeline, or another."""

    kind: Literal["distillation"] = Field(description=KIND)
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

    kind: Literal["quantization_aware_training"] = Field(description=KIND)

    @model_validator(mode="after")
    def _no_new_zeros(self) -> Self:
        if self.gradual is not None:
            raise ValueError(
                "zeros are made while weights are floats: give gradual to the finetune or distillation "
                "before the step "
                "that quantizes; keep_zeros keeps them here"
            )
        return self


Trains = Finetune | Distillation | QuantizationAwareTraining
"""The steps that train."""
TRAINING_KINDS: Final = frozenset(
    get_args(step.model_fields["kind"].annotation)[0] for step in get_args(Trains)
)
