"""Name the likeliest cause of what is not met: the first of a list, the most telling ones first, that applies."""

from collections.abc import Callable, Sequence
from typing import Final

from winnow.contract.report import Report, RequirementResult
from winnow.contract.requirements import MEMORY, SIZE, SPEED
from worker.compression.result.causes.costs import (
    file_without_weights,
    float_arithmetic,
    layers_in_float,
    little_gained,
    memory_beyond_weights,
    no_vnni,
    one_large_layer,
    tiny_run,
    untouched_operators,
    weights_are_the_file,
    work_that_remains,
)
from worker.compression.result.causes.evidence import Evidence, is_quality
from worker.compression.result.causes.quality import (
    cut_without_training,
    few_bits,
    few_calibration_samples,
    float16_overflow,
    layer_alone,
    narrow_weights,
    only_step,
    original_falls_short,
    step_to_blame,
    unfinished_training,
)
from worker.compression.result.causes.shared import nothing_changed, pinned_channels, wide_interval

Cause = Callable[[RequirementResult, Evidence], str | None]

OF_QUALITY: Final[Sequence[Cause]] = (
    original_falls_short,
    wide_interval,
    float16_overflow,
    layer_alone,
    unfinished_training,
    few_calibration_samples,
    step_to_blame,
    few_bits,
    narrow_weights,
    cut_without_training,
    only_step,
)
OF_SPEED: Final[Sequence[Cause]] = (
    wide_interval,
    nothing_changed,
    float_arithmetic,
    layers_in_float,
    no_vnni,
    untouched_operators,
    tiny_run,
    work_that_remains,
    little_gained,
)
OF_SIZE: Final[Sequence[Cause]] = (
    nothing_changed,
    one_large_layer,
    layers_in_float,
    file_without_weights,
    weights_are_the_file,
)
OF_MEMORY: Final[Sequence[Cause]] = (nothing_changed, memory_beyond_weights, weights_are_the_file)
OF_TARGETS: Final[Sequence[Cause]] = (pinned_channels,)
"""What a step itself was asked for; its `why` says most."""


def with_causes(evidence: Evidence) -> Report:
    """Return the report, each requirement that is not met with its cause."""
    requirements = [
        entry if entry.met else entry.model_copy(update={"cause": cause_of(entry, evidence)})
        for entry in evidence.report.requirements
    ]
    return evidence.report.model_copy(update={"requirements": requirements})


def cause_of(entry: RequirementResult, evidence: Evidence) -> str | None:
    """Say in a sentence why it is not met; None where nothing that was measured tells it."""
    clauses = (cause(entry, evidence) for cause in _causes(entry))
    clause = next((clause for clause in clauses if clause is not None), None)
    return None if clause is None else f"{clause[:1].upper()}{clause[1:]}."


def _causes(entry: RequirementResult) -> Sequence[Cause]:
    if is_quality(entry.name):
        return OF_QUALITY
    if entry.measured is None:
        return ()
    if entry.name in SPEED:
        return OF_SPEED
    if entry.name in SIZE:
        return OF_SIZE
    return OF_MEMORY if entry.name in MEMORY else OF_TARGETS
