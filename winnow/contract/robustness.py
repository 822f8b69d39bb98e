"""What an answer depends on besides its own input and the file: what it runs beside, its padding, the CPU; and what the
figures depend on: the machine's noise, and the rows that were judged on."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from winnow.contract.base import Interval, ResponseModel


class Dependence(ResponseModel):
    """How far the answers of one model to the same samples are apart, run in two ways."""

    depends: bool = Field(description="Whether they differ by more than the order of its sums explains.")
    snr_db: float | None = Field(
        description="Signal to noise of the output that differs most, in dB; null where no bit of any differs."
    )
    max_relative_error: float | None = Field(
        description="Largest difference of two numbers, relative to the output's largest; null where that is zero."
    )


class Invariance(ResponseModel):
    """The same samples run in two ways by both models: alone and beside others, or with and without padding."""

    samples: int = Field(description="Number of samples; 0 where it was not measured.")
    data: Literal["evaluation", "calibration", "random"] | None = Field(
        description="What the models were fed with; null where it was not measured."
    )
    before: Dependence | None = Field(description="Of the model as uploaded; null where it was not measured.")
    after: Dependence | None = Field(description="Of the result; null where it was not measured.")
    says: str = Field(description="The fact in a sentence, or why it was not measured.")


class WithoutVnni(ResponseModel):
    """The result on an x86 CPU without VNNI, simulated: it adds two products of uint8 and int8 in 16 bits, and cuts off
    what is larger. All figures in dB are of the output that is worst, against the original's on the same samples."""

    layers: int = Field(description="Layers that multiply uint8 by int8.")
    exposed: int = Field(description="Those of them whose weights let a sum of two products be cut off.")
    cut_off: float | None = Field(
        description="Share of these sums that are cut off, of those that could be; null where nothing was simulated."
    )
    exact_db: float | None = Field(description="With every sum exact, as a CPU with VNNI has it.")
    cut_off_db: float | None = Field(description="With sums cut off.")
    seven_bits_db: float | None = Field(
        description="With the weights of these layers in 7 bits, which no CPU cuts off."
    )
    says: str = Field(description="The fact in a sentence, or why it was not simulated.")


class Noise(ResponseModel):
    """What the machine's noise let be told, of the first entry of `latency`."""

    control_spread: float | None = Field(
        description="How far the original's time is from itself: half of the middle 90 % of rounds, as a share of the "
        "median; null where nothing was timed."
    )
    speedup_spread: float | None = Field(description="The same of the speed-up in each round.")
    told_from: float | None = Field(
        description="The least change of speed, as a share, that this measurement tells from none; null where it tells "
        "none."
    )
    says: str = Field(description="The fact in a sentence, or why there is none.")


class Unseen(ResponseModel):
    """The first metric on rows that no step calibrated or trained with, and no choice between results was made by."""

    part: Literal["evaluation", "final", "remaining"] | None = Field(
        description="All of the evaluation data, its final part (of a dataset or a search that was split), or what of "
        "it remains where steps used some; null where nothing was judged."
    )
    samples: int = Field(description="Number of samples; 0 where nothing was judged.")
    metric: str | None = Field(description="The measure of quality; null where nothing was judged.")
    before: float | None = Field(description="Of the model as uploaded.")
    after: float | None = Field(description="Of the result.")
    drop: float | None = Field(description="How much worse the result is, in the metric's own unit.")
    drop_interval: Interval | None = Field(description="95 % interval of `drop`.")
    says: str = Field(description="The fact in a sentence, or why there is none.")


class Robustness(ResponseModel):
    """Facts that every report of a result has; what could not be measured says why."""

    neighbours: Invariance = Field(
        description="Whether an answer depends on the samples that it is run beside."
    )
    padding: Invariance = Field(description="Whether an answer depends on how far its input is padded.")
    without_vnni: WithoutVnni = Field(
        description="What the result's 8-bit products become on a CPU without VNNI."
    )
    noise: Noise = Field(description="What the machine's noise let be told of speed.")
    unseen: Unseen = Field(description="The quality on data that nothing was chosen by.")


def sentences(robustness: Robustness) -> Iterator[tuple[str, str]]:
    """Yield what each fact is about, in a word or two, and its sentence."""
    yield "Neighbours", robustness.neighbours.says
    yield "Padding", robustness.padding.says
    yield "CPUs without VNNI", robustness.without_vnni.says
    yield "Noise", robustness.noise.says
    yield "Unseen data", robustness.unseen.says
