"""The first metric on rows that no step has calibrated or trained with, and by which no result was chosen.

All evaluation rows are such where steps used none of them: choices within a step are made by calibration data, those of
a search by its selection part. Where steps used some, what remains of them is judged once more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from winnow.contract import units
from winnow.contract.report import Quality
from winnow.contract.robustness import Unseen
from worker.compression.measure.robustness.dependence import NotMeasured

MOST_ROWS: Final = 500
NO_METRIC: Final = (
    "No quality was judged: give data.evaluation, or one dataset that is split, and evaluation.metric."
)
ALL_USED: Final = (
    "Every evaluation row was calibrated or trained with: give rows to judge by that no step uses, or "
    "one dataset, which is split."
)
PARTS: Final = {
    "evaluation": "all of the evaluation data",
    "final": "the final part of the split",
    "remaining": "what of the evaluation data remains",
}


@dataclass(frozen=True)
class UnseenRows:
    """`judge` measures the metrics on `remaining` rows, None where none do. `split`: the data was split by the job's
    seed; `overlap`: steps used evaluation rows."""

    split: bool
    overlap: bool
    judge: Callable[[], list[Quality]] | None = None


def measure_unseen(quality: list[Quality], rows: UnseenRows) -> Unseen:
    """Raises `NotMeasured`, and what `rows.judge` raises."""
    if not quality:
        raise NotMeasured(NO_METRIC)
    if not rows.overlap:
        return _unseen(quality[0], "final" if rows.split else "evaluation")
    if rows.judge is None:
        raise NotMeasured(ALL_USED)
    return _unseen(rows.judge()[0], "remaining")


def _unseen(quality: Quality, part: Literal["evaluation", "final", "remaining"]) -> Unseen:
    values = [units.metric(quality.metric, value) for value in (quality.before, quality.after)]
    return Unseen(
        part=part,
        samples=quality.samples,
        metric=quality.metric,
        before=quality.before,
        after=quality.after,
        drop=quality.drop,
        drop_interval=quality.drop_interval,
        says=(
            f"On {units.count(quality.samples)} samples that nothing was calibrated, trained or chosen by "
            f"({PARTS[part]}), {quality.metric} goes from {values[0]} to {values[1]}: "
            f"{units.change(quality.metric, quality.drop, quality.drop_interval)}."
        ),
    )
