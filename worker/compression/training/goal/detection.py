"""Learning a teacher's detections from its raw boxes and scores, each place as much as the teacher sees there.

A detector answers thousands of places, of which a few have an object; a mean over all would teach that there is none,
and boxes of places without one mean nothing. So, with c the teacher's confidence that there is an object, over the
places of a batch,

    loss = [ Σ |p − p'|² + Σ c · ¼ Σₖ ((b − b') / σₖ)² ] / max(1, Σ c)

p: scores as probabilities, b: the four numbers of a box, σₖ their deviation over the places, weighted by c, and σₖ² no
less than a tenth of what it is without weights: a sample with one object has boxes that are all alike
(objectness-scaled distillation: Mehta & Ozturk 2018, arXiv:1805.06361).
"""

from dataclasses import dataclass
from typing import Final

import torch

from winnow.contract.detections import Columns, DetectionLayout
from worker.compression.training.goal.losses import wide
from worker.compression.training.goal.targets import Values

MIN_VARIANCE: Final = 1e-12
"""Where all boxes are one."""
MIN_WEIGHT: Final = 1e-6
MIN_SHARE: Final = 0.1
"""Of the variance over all places, which that over places with objects is at least taken for."""
ROUNDING: Final = 1e-3
"""By which probabilities may be beyond 0 and 1."""
MOSTLY: Final = 0.5
"""Mean probability over the places from which on a column is the background's."""


@dataclass(frozen=True)
class DetectionTarget:
    """What student and teacher answer, by the same layout or each by its own."""

    student: DetectionLayout
    teacher: DetectionLayout
    weight: float = 1.0

    @property
    def student_values(self) -> list[str]:
        return [self.student.boxes.output, self.student.scores.output]

    @property
    def teacher_values(self) -> list[str]:
        return [self.teacher.boxes.output, self.teacher.scores.output]

    @property
    def samples_first(self) -> bool:
        return True

    def pairs(self, student: Values, teacher: Values) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Boxes [N, places, 4] and scores [N, places, columns]."""
        return {
            "boxes": (_columns(self.student.boxes, student), _columns(self.teacher.boxes, teacher)),
            "scores": (_columns(self.student.scores, student), _columns(self.teacher.scores, teacher)),
        }

    def loss(self, student: Values, teacher: Values) -> torch.Tensor:
        (boxes, others), (scores, other_scores) = self.pairs(student, teacher).values()
        logits = bool(other_scores.min() < -ROUNDING or other_scores.max() > 1 + ROUNDING)
        p, wanted = (x.sigmoid() if logits else x for x in (scores, other_scores))
        c = confidence(wanted, objectness=self.teacher.objectness)[..., None]
        count = c.sum()
        variance = torch.maximum(_variance(others, c), MIN_SHARE * _variance(others, torch.ones_like(c)))
        misplaced = (c * (boxes - others).square() / variance.clamp(min=MIN_VARIANCE)).sum() / boxes.shape[-1]
        return ((p - wanted).square().sum() + misplaced) / count.clamp(min=1.0)


def confidence(scores: torch.Tensor, *, objectness: bool) -> torch.Tensor:
    """How likely there is an object at each place, [N, places], of probabilities [N, places, columns]: objectness times
    the best class, or the best class; a column that is high nearly everywhere is the background, and no object."""
    if objectness:
        return scores[..., 0] * scores[..., 1:].amax(-1) if scores.shape[-1] > 1 else scores[..., 0]
    columns = scores.mean((0, 1))
    if len(columns) > 1 and columns.max() > MOSTLY:
        return 1 - scores[..., int(columns.argmax())]
    return scores.amax(-1)


def _variance(boxes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Of the four numbers over the places, weighted; [4]."""
    total = weights.sum().clamp(min=MIN_WEIGHT)
    centre = (weights * boxes).sum((0, 1)) / total
    return (weights * (boxes - centre).square()).sum((0, 1)) / total


def _columns(columns: Columns, values: Values) -> torch.Tensor:
    """Of [N, places, columns] or [N, columns, places]; the result has the columns last."""
    return wide(values[columns.output]).movedim(columns.axis, -1)[..., columns.start : columns.stop]
