"""Judges forms of a static model on calibration data that no range came from."""

from dataclasses import replace
from typing import Final

import numpy as np

from worker.compression.data.samples import Samples
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.output_error import OutputComparer
from worker.compression.steps.context import Context

MAX_JUDGED: Final = 32
"""Samples."""
MIN_JUDGED: Final = 4
"""Of fewer rows that were not drawn, none are used: ranges are measured anew on the other rows of those that were."""
MIN_GAIN_DB: Final = 1.0
"""That a repair has to bring."""


class Judge:
    """Runs nothing before it is asked. Forms are compared with the float model, at the output that suffers most."""

    def __init__(self, context: Context, samples: Samples, comparer: OutputComparer | None = None) -> None:
        """`samples` are those that ranges come from; `comparer` has others, where the step keeps some apart."""
        self._context, self._comparer = context, comparer
        self._judged, self._measured = (samples, None) if comparer else _apart(context, samples)

    def snr_db(self, static: Static) -> float:
        """Quantize, and compare. Raises what `OutputComparer` raises."""
        return self._comparing(static)(self._judged_form(static).quantized()).snr_db

    def _comparing(self, static: Static) -> OutputComparer:
        if self._comparer is None:
            self._comparer = OutputComparer(
                static.model, self._judged, self._context.scratch, target=self._context.target
            )
        return self._comparer

    def _judged_form(self, static: Static) -> Static:
        """With ranges of those samples alone that nothing is judged on."""
        if self._measured is None:
            return static
        return replace(static, samples=self._measured, distributions={}, _ranges={})


def _apart(context: Context, samples: Samples) -> tuple[Samples, Samples | None]:
    """Rows to judge on, and the rest of the samples where those had to be taken from them."""
    drawn = np.asarray(samples.rows)
    available = samples if context.calibration is None else context.calibration
    others = np.setdiff1d(np.asarray(available.rows), drawn)
    if len(others) >= max(MIN_JUDGED, samples.fixed_batch or 1):
        return available.with_rows(others).draw(MAX_JUDGED, context.seed), None
    judged = samples.draw(min(MAX_JUDGED, max(1, len(samples) // 4)), context.seed)
    rest = np.setdiff1d(drawn, np.asarray(judged.rows))
    return judged, samples.with_rows(rest) if len(rest) >= max(1, samples.fixed_batch or 1) else None
