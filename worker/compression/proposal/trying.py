"""Run choices through the model: of labelled samples the right answers decide, else nothing is sure.

accuracy    the share of right answers
likelihood  the mean logarithm of what the model gives the right class
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from worker.compression.data.labels import class_numbers
from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array
from worker.compression.proposal.subject import Subject

ROWS: Final = 256
FEW_ROWS: Final = 8
SECONDS: Final = 20.0
"""For all choices together; slower models are run on fewer rows."""
BATCH: Final = 16
MARGIN: Final = 0.05
GOOD: Final = 0.9
"""Of the answers: what reaches it, and is beaten by nothing, is right."""
DEVIATIONS: Final = 2.0
SMALLEST: Final = 1e-12

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """`likelihoods` of each sample's own class; accuracy is None where there is nothing to judge by."""

    samples: int
    accuracy: float | None = None
    chance: float = 0.0
    likelihoods: Numbers | None = None

    @property
    def is_right(self) -> bool:
        """Whether the answers are decidedly better than guessed."""
        if self.accuracy is None:
            return False
        deviation = (self.chance * (1 - self.chance) / self.samples) ** 0.5
        return bool(self.accuracy > self.chance + DEVIATIONS * max(deviation, MARGIN))

    def beats(self, other: "Trial") -> bool:
        """Whether more answers are right, as many with decidedly more likelihood, or almost all and no fewer."""
        if self.accuracy is None or other.accuracy is None:
            return False
        if self.accuracy >= max(GOOD, other.accuracy):
            return True
        if self.accuracy >= other.accuracy + MARGIN:
            return True
        assert self.likelihoods is not None
        assert other.likelihoods is not None
        difference = self.likelihoods - other.likelihoods
        error = difference.std() / max(len(difference), 1) ** 0.5
        return bool(self.accuracy >= other.accuracy and difference.mean() > DEVIATIONS * error)


def trials(subject: Subject, declarations: Sequence[Declaration]) -> list[Trial | Refusal]:
    """Run each on the same rows; a refusal for what cannot be fed."""
    rows = ROWS
    results: list[Trial | Refusal] = []
    for declaration in declarations:
        try:
            began = time.monotonic()
            results.append(_trial(subject, subject.samples(declaration, rows)))
            if rows == ROWS and len(results) == 1:
                took = time.monotonic() - began
                rows = max(FEW_ROWS, min(ROWS, int(ROWS * SECONDS / len(declarations) / max(took, 1e-3))))
                if rows < ROWS:
                    results[0] = _trial(subject, subject.samples(declaration, rows))
        except Refusal as refusal:
            results.append(refusal)
    return results


def _trial(subject: Subject, samples: Samples) -> Trial:
    classes = _classes(samples)
    outputs = [subject.run(feed)[0] for feed in samples.batches(BATCH)]
    if classes is None or any(output.ndim < 2 for output in outputs):
        return Trial(len(samples))
    scores = np.concatenate([output.reshape(len(output), -1) for output in outputs]).astype(np.float64)
    if scores.shape[0] != len(classes) or scores.shape[1] <= max(1, int(classes.max())):
        return Trial(len(samples))
    own = np.take_along_axis(_log_shares(scores), classes[:, None], 1)[:, 0]
    right = float((scores.argmax(1) == classes).mean())
    most = float(np.bincount(classes).max() / len(classes))
    return Trial(len(samples), right, most if most < 1 else 1 / scores.shape[1], own)


def _classes(samples: Samples) -> npt.NDArray[np.int64] | None:
    targets: Any = samples.targets
    if targets is None or targets.dtype.kind not in "biuf":
        return None
    labels = np.asarray(samples.labels)
    labels = class_numbers(labels)
    if labels.dtype.kind not in "biu" or labels.size != len(labels) or int(labels.min(initial=0)) < 0:
        return None
    return labels.reshape(-1).astype(np.int64)


def _log_shares(scores: Array) -> Numbers:
    """Shares as they are where they are such, else by softmax."""
    finite = np.nan_to_num(scores, nan=0.0, posinf=1e30, neginf=-1e30)
    if (finite >= 0).all() and np.allclose(finite.sum(1), 1, atol=1e-3):
        return np.asarray(np.log(np.maximum(finite, SMALLEST)))
    shifted = finite - finite.max(1, keepdims=True)
    return np.asarray(np.maximum(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)), np.log(SMALLEST)))
