"""Learning a teacher's detections from its raw boxes and scores, each place as much as the teacher sees there.

A detector answers thousands of places, of which a few have an object; a mean over all would teach that there is none,
and boxes of places without one mean nothing. So, with c the teacher's confidence that there is an object, over the
places of a step's samples,

    loss = [ Σ |p − p'|² + Σ c · ¼ Σₖ ((b − b') / σₖ)² ] / max(1, Σ c)

p: scores as probabilities, b: the four numbers of a box, σₖ their deviation over the places, weighted by c, and σₖ² no
less than a tenth of what it is without weights: a sample with one object has boxes that are all alike
(objectness-scaled distillation: Mehta & Ozturk 2018, arXiv:1805.06361).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
class Places:
    """What a teacher says of all places of some samples: whether its scores are `logits`, which column is the
    `background`'s, the `variance` [4] of boxes, and how many `objects` it sees for each sample, one in all at least."""

    logits: bool
    background: int | None
    variance: torch.Tensor
    objects: torch.Tensor


@dataclass(frozen=True)
class DetectionTarget:
    """What student and teacher answer, by the same layout or each by its own. `places`: those that the loss is relative
    to, by itself the ones that it is taken of."""

    student: DetectionLayout
    teacher: DetectionLayout
    weight: float = 1.0
    places: Places | None = None

    @property
    def student_values(self) -> list[str]:
        return [self.student.boxes.output, self.student.scores.output]

    @property
    def teacher_values(self) -> list[str]:
        return [self.teacher.boxes.output, self.teacher.scores.output]

    @property
    def samples_first(self) -> bool:
        return True

    @property
    def is_relative(self) -> bool:
        return True

    def relative_to(self, teacher: Sequence[Values]) -> "DetectionTarget":
        both = (self.teacher.boxes, self.teacher.scores)
        boxes, scores = (torch.cat([_columns(columns, values) for values in teacher]) for columns in both)
        return replace(self, places=self._places(boxes, scores))

    def pairs(self, student: Values, teacher: Values) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Boxes [N, places, 4] and scores [N, places, columns]."""
        return {
            "boxes": (_columns(self.student.boxes, student), _columns(self.teacher.boxes, teacher)),
            "scores": (_columns(self.student.scores, student), _columns(self.teacher.scores, teacher)),
        }

    def loss(self, student: Values, teacher: Values) -> torch.Tensor:
        (boxes, others), (scores, other_scores) = self.pairs(student, teacher).values()
        places = self.places or self._places(others, other_scores)
        p, wanted = (x.sigmoid() if places.logits else x for x in (scores, other_scores))
        c = confidence(wanted, objectness=self.teacher.objectness, background=places.background)[..., None]
        misplaced = (c * (boxes - others).square() / places.variance).sum() / boxes.shape[-1]
        return ((p - wanted).square().sum() + misplaced) / (len(boxes) * places.objects)

    def _places(self, boxes: torch.Tensor, scores: torch.Tensor) -> Places:
        objectness = self.teacher.objectness
        logits = bool(scores.min() < -ROUNDING or scores.max() > 1 + ROUNDING)
        p = scores.sigmoid() if logits else scores
        background = None if objectness else background_column(p)
        c = confidence(p, objectness=objectness, background=background)[..., None]
        variance = torch.maximum(_variance(boxes, c), MIN_SHARE * _variance(boxes, torch.ones_like(c)))
        objects = c.sum().clamp(min=1.0) / len(boxes)
        return Places(logits, background, variance.clamp(min=MIN_VARIANCE), objects)


def background_column(scores: torch.Tensor) -> int | None:
    """The column that is high nearly everywhere, of probabilities [N, places, columns]; None where there is none."""
    columns = scores.mean((0, 1))
    return int(columns.argmax()) if len(columns) > 1 and columns.max() > MOSTLY else None


def confidence(scores: torch.Tensor, *, objectness: bool, background: int | None) -> torch.Tensor:
    """How likely there is an object at each place, [N, places], of probabilities [N, places, columns]: objectness times
    the best class, or the best class, or what is left of the background."""
    if objectness:
        return scores[..., 0] * scores[..., 1:].amax(-1) if scores.shape[-1] > 1 else scores[..., 0]
    return scores.amax(-1) if background is None else 1 - scores[..., background]


def _variance(boxes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Of the four numbers over the places, weighted; [4]."""
    total = weights.sum().clamp(min=MIN_WEIGHT)
    centre = (weights * boxes).sum((0, 1)) / total
    return (weights * (boxes - centre).square()).sum((0, 1)) / total


def _columns(columns: Columns, values: Values) -> torch.Tensor:
    """Of [N, places, columns] or [N, columns, places]; the result has the columns last."""
    return wide(values[columns.output]).movedim(columns.axis, -1)[..., columns.start : columns.stop]
