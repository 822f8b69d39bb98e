"""Steps that train the weights of the graph."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from winnow.contract.steps.base import KIND, Need, Patterns, Share, Step
from winnow.contract.steps.zeros import Gradual


class Training(Step):
    """What all steps that train have in common."""

    needs: ClassVar[frozenset[Need]] = frozenset({"training"})
    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"

    epochs: int = Field(default=3, ge=1, le=100_000, description="Passes over the training data.")
    steps: int | None = Field(
        default=None, ge=1, le=100_000_000, description="Optimizer steps; when given, `epochs` is not used."
    )
    batch_size: int = Field(description="Samples in one optimizer step.", default=128, ge=1, le=65536)
    micro_batch_size: int | None = Field(
        default=None,
        ge=1,
        le=65536,
        description="Samples worked on at once: gradients of a batch are added up from parts of this size, in less "
        "memory. The whole batch when null; where the model fixes a batch, that.",
    )
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="SGD has momentum 0.9.")
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="The peak rate; when left out, found by a range test of at most a quarter of the steps, or a "
        "careful one where these are few.",
    )
    warmup: Share = Field(default=0.1, description="Share of the steps in which the rate rises from 0.")
    schedule: Literal["cosine", "constant"] = Field(default="cosine", description="The rate after warm-up.")
    weight_decay: float = Field(
        description="Decoupled from the gradient in AdamW, added to it in SGD.", default=0.0001, ge=0, le=1
    )
    clip_norm: float | None = Field(
        default=1.0, gt=0, description="Largest norm of the gradient over all weights; null for none."
    )
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="Validate, and keep, an exponential moving average of the weights: the share of the average that "
        "stays at each step, 0.999 being usual in long trainings. Null for the weights themselves.",
    )
    validation: Annotated[float, Field(ge=0, le=0.5)] | None = Field(
        default=None,
        description="Share of the training data held out to choose the best epoch; 0 for none. By itself 0.05, or "
        "200 rows where that is more, but at most a fifth.",
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Stop after so many epochs without a better validation; null for never.",
    )
    batchnorm: Literal["auto", "restored", "folded"] = Field(
        default="auto",
        description="Whether batch normalisation is put back behind convolutions for training, and folded "
        "again.",
    )
    augment: bool = Field(default=True, description="Use the augmentation that the dataset declares.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Of the arithmetic: bfloat16 on GPUs that have it, on CPUs that have it where a trial shows "
        "that it is faster, else float32.",
    )
    activation_checkpointing: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Keep few activations for the gradients and compute the others again: less memory, about a third "
        "more time. By itself where those of a batch would take more than half of the memory that is free.",
    )
    channels_last: bool = Field(default=False, description="Memory layout of images: NHWC instead of NCHW.")
    keep_zeros: bool = Field(
        default=True, description="Weights of layers that are exactly zero before the step stay zero."
    )
    gradual: Gradual | None = Field(
        default=None, description="Make weights zero during the training, more and more of them."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="CUDA where there is a GPU, else the CPU."
    )
    output: str | None = Field(default=None, description="The output to train; the model's first when null.")
    exclude: Patterns

    @property
    def makes_zeros(self) -> bool:
        return self.gradual is not None

    @model_validator(mode="after")
    def _something_to_be_patient_for(self) -> Self:
        if self.patience is not None and self.validation == 0:
            raise ValueError("patience counts epochs without a better validation: give validation a share")
        return self


class Finetune(Training):
    """Train on labels: cross-entropy where they are class numbers, mean squared error where they are reals."""

    kind: Literal["finetune"] = Field(description=KIND)
    label_smoothing: Share = Field(default=0.0, description="Share of each label spread over all classes.")

    @property
    def needs_labels(self) -> bool:
        return True
