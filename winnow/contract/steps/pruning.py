"""Steps that take weights out: whole channels, or single values."""

from itertools import pairwise
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from winnow.contract.glob import GlobText
from winnow.contract.steps.base import KIND, Need, Patterns, Samples, Step
from winnow.contract.steps.taught import Distillation
from winnow.contract.steps.training import Finetune
from winnow.contract.steps.zeros import Structure, refuse_bad_structure, zeros_of

Amount = Annotated[float, Field(gt=0, lt=1)]
Remaining = Annotated[float, Field(gt=0, le=1)]
Side = Annotated[int, Field(ge=1, le=1024)]

ROUNDING: Final = 1e-9
NEEDS_NO_DATA: Final = frozenset({"l1", "l2", "batchnorm_scale", "fpgm", "random", "magnitude"})
"""Criteria that follow from the weights alone."""


class StructuredPruning(Step):
    """Parts of the network go, and the graph gets smaller and faster; between rounds a training may bring back what
    that cost."""

    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"
    chooses: ClassVar[bool] = True

    kind: str = Field(description=KIND)
    target: str = Field(description="What is to shrink.")
    amount: Amount = Field(default=0.5, description="The share of it that goes.")
    rounds: int = Field(
        default=1, ge=1, le=100, description="Reach the target in so many cuts, each judged anew."
    )
    recovery: Annotated[Finetune | Distillation, Field(discriminator="kind")] | None = Field(
        default=None, description="A training step after each round but the last."
    )
    schedule: list[Remaining] | None = Field(
        default=None,
        max_length=100,
        description="Share of the target that is left behind each round, as a report tells it of rounds that went by "
        "time; null: shares in equal ratios.",
    )

    def remaining(self, number: int) -> float:
        """The share of the target that is left behind round `number`, from 1 on: (1 - amount)^(number / rounds), or
        what the schedule says."""
        return self.schedule[number - 1] if self.schedule else (1 - self.amount) ** (number / self.rounds)

    @property
    def required(self) -> frozenset[Need]:
        return self.needs | (self.recovery.required if self.recovery else frozenset())

    @property
    def needs_labels(self) -> bool:
        return self.recovery is not None and self.recovery.needs_labels

    @property
    def makes_zeros(self) -> bool:
        return self.recovery is not None and self.recovery.makes_zeros

    @property
    def models(self) -> dict[str, str]:
        return {} if self.recovery is None else self.recovery.models

    @model_validator(mode="after")
    def _recovery_of_this_model(self) -> Self:
        if isinstance(self.recovery, Distillation) and self.recovery.student is not None:
            raise ValueError("recovery trains the model that is pruned: leave student out")
        if self.recovery is not None and self.rounds == 1:
            raise ValueError("recovery goes between rounds: ask for more of them, or put the step behind")
        return self

    @model_validator(mode="after")
    def _schedule_of_these_rounds(self) -> Self:
        if self.schedule is None:
            return self
        if len(self.schedule) != self.rounds:
            raise ValueError(
                f"schedule has {len(self.schedule)} shares, one for each of {self.rounds} rounds was expected"
            )
        for number, (before, after) in enumerate(pairwise(self.schedule), 2):
            if after > before:
                raise ValueError(
                    f"schedule leaves {after:g} behind round {number}, more than the {before:g} before it: shares fall"
                )
        last, left = self.schedule[-1], 1 - self.amount
        if abs(last - left) > ROUNDING:
            raise ValueError(
                f"schedule ends with {last:.10g}, and amount {self.amount:.10g} leaves {left:.10g}"
            )
        return self


class ChannelPruning(StructuredPruning):
    """Cut whole channels out, together with everything that depends on them; the graph gets smaller and faster."""

    without_data: ClassVar[str] = " Or judge by the weights alone: criterion l2, without repair."

    kind: Literal["channel_pruning"] = Field(description=KIND)
    criterion: (
        Literal["l1", "l2", "batchnorm_scale", "taylor", "fisher", "activation", "fpgm", "random"] | None
    ) = Field(
        default=None,
        description="What makes a channel worth keeping; null: `taylor` where there is calibration data "
        "(`activation` where the model cannot be differentiated, if a convolution or product makes the "
        "channels), else "
        "`l2`.",
    )
    scope: Literal["global", "layer", "isomorphic"] = Field(
        default="layer",
        description="Which channels compete: all, those of one group, or those of groups that are built "
        "alike.",
    )
    target: Literal["channels", "parameters", "macs", "latency"] = Field(
        default="macs", description="What is to shrink."
    )
    heads: Literal["whole", "inside"] = Field(
        default="whole",
        description="Of attention: whole heads go (those of queries with the keys and values that they share), or the "
        "same width `inside` all of them. Where whole ones cannot go, those that can inside do.",
    )
    embedding_width: bool = Field(
        default=False,
        description="Channels of the residual stream may go too, which all layers read and write; normalisations then "
        "take their statistics over what is left.",
    )
    round_to: int | None = Field(
        default=None,
        ge=1,
        le=512,
        description="Channels are kept in multiples of this, and heads in so many that their width is; by itself 8 in "
        "groups of 16 channels or more, else 1.",
    )
    repair: bool | None = Field(
        default=None,
        description="Fit the next layer's weights to what is left, by least squares on calibration data; "
        "null where "
        "there is some.",
    )
    samples: Samples
    exclude: Patterns

    @property
    def required(self) -> frozenset[Need]:
        weights_alone = self.criterion is None or self.criterion in NEEDS_NO_DATA
        data: set[Need] = set() if weights_alone else {"calibration"}
        data |= {"calibration"} if self.repair else set()
        return super().required | data


class DepthPruning(StructuredPruning):
    """Take whole residual blocks out: what lies between two readings of a stream that keeps its shape. What is left is
    an ordinary graph with fewer layers."""

    needs: ClassVar[frozenset[Need]] = frozenset({"calibration"})

    kind: Literal["depth_pruning"] = Field(description=KIND)
    criterion: Literal["block_influence", "taylor", "leave_one_out"] = Field(
        default="leave_one_out",
        description="Which block goes next: the one that changes the direction of the stream least "
        "(`block_influence`), that the loss would miss least by its gradient (`taylor`), or without which the outputs "
        "are nearest to the original's (`leave_one_out`). Judged anew after each.",
    )
    target: Literal["blocks", "parameters", "macs", "latency"] = Field(
        default="blocks", description="What is to shrink; `blocks`: the number of those that can go."
    )
    samples: Annotated[
        int, Field(default=128, ge=1, le=100_000, description="Calibration samples drawn with the seed.")
    ]
    exclude: Patterns


class Sparsity(Step):
    """Set weights to zero, in any place or in a pattern, and store the file accordingly."""

    without_data: ClassVar[str] = " Or judge by the weights alone: criterion magnitude, distribution uniform."
    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"

    kind: Literal["sparsity"] = Field(description=KIND)
    structure: Structure
    block: tuple[Side, Side] = Field(
        default=(1, 4),
        description="For `block`: outputs × inputs in a row that go together; both sizes have to divide.",
    )
    sparsity: Amount | None = Field(
        default=None, description="Share of zeros, by itself 0.5; N:M has its own, (M - N) / M."
    )
    criterion: Literal["magnitude", "wanda", "taylor", "hessian"] = Field(
        default="hessian",
        description="Which weights go: the smallest (`magnitude`), those that meet small inputs (`wanda`), "
        "that move "
        "the outputs least (`taylor`) or cost their layer least (`hessian`, which makes up for them with the "
        "rest).",
    )
    distribution: Literal["uniform", "erdos_renyi", "sensitivity"] = Field(
        default="uniform", description="How the zeros are spread over the layers."
    )
    storage: Literal["auto", "dense"] = Field(
        default="auto",
        description="Each tensor of the artifact as a bitmask with packed values, as SparseTensor or dense, "
        "whichever is smallest; or all of them dense.",
    )
    samples: Samples
    layers: list[GlobText] = Field(
        default_factory=list, max_length=1000, description="Names or patterns of the layers; none means all."
    )
    exclude: Patterns

    @property
    def required(self) -> frozenset[Need]:
        data = self.criterion not in NEEDS_NO_DATA or self.distribution == "sensitivity"
        return frozenset({"calibration"} if data else set())

    @property
    def makes_zeros(self) -> bool:
        return True

    @property
    def packs(self) -> bool:
        return self.storage == "auto"

    @property
    def zeros(self) -> float:
        """The share of zeros in the layers that are changed."""
        return zeros_of(self.structure, self.sparsity)

    @model_validator(mode="after")
    def _structure_that_works(self) -> Self:
        refuse_bad_structure(self.structure, self.sparsity)
        if self.structure not in ("unstructured", "block") and self.distribution != "uniform":
            raise ValueError(
                f"{self.structure} zeros are the same share of every layer: distribution is uniform"
            )
        return self
