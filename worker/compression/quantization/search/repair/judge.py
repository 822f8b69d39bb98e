"""Judges forms of a static model on calibration data that no range of theirs came from."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from worker.compression.data.samples import Samples
from worker.compression.ir.edit import GraphEdit
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.output_error import OutputComparer
from worker.compression.steps.context import Context

MAX_JUDGED: Final = 16
"""Samples to judge on."""
MAX_MEASURED: Final = 64
"""Samples that ranges come from while forms are compared: all by the same."""
MAX_GLANCED: Final = 8
"""Samples that say whether to look closer."""
MIN_GAIN_DB: Final = 1.0
"""That a repair has to bring."""
EXACT_DB: Final = 80.0
"""From which on the same is computed in another order."""
GOOD_DB: Final = 30.0
"""Signal to noise from which on nothing is looked for."""


class Judge:
    """Runs nothing before it is asked. Forms are compared with the float model, at the output that suffers most."""

    def __init__(self, context: Context, samples: Samples, comparer: OutputComparer | None = None) -> None:
        """`samples` are those that ranges come from; `comparer` has others, where the step keeps some apart."""
        self._context, self._comparer = context, comparer
        judged, measured = (samples, samples) if comparer else _apart(context, samples)
        self._judged, self._measured = judged, measured.draw(MAX_MEASURED, context.seed)
        self.saw_good = False
        self._forms: dict[int, tuple[GraphEdit, Static]] = {}

    def is_good(self, static: Static, enough_db: float = GOOD_DB) -> bool:
        """Whether the outputs are so far above their error as far as a few samples say. Raises what `OutputComparer`
        raises."""
        glanced = self.glanced_db(static)
        self.saw_good = glanced >= GOOD_DB
        return glanced >= enough_db

    def glanced_db(self, static: Static) -> float:
        """Compare a few samples only, by the ranges that the model has. Raises what `OutputComparer` raises."""
        comparing = self._comparer or self._on(static, self._judged.take(MAX_GLANCED))
        return comparing(static.quantized(), MAX_GLANCED).snr_db

    def snr_db(
        self, static: Static, float_reasons: Mapping[str, str] | None = None, max_samples: int | None = None
    ) -> float:
        """Quantize, but for the layers that `float_reasons` names, and compare. Raises what `OutputComparer` raises."""
        return self._comparing(static)(self._form(static).quantized(float_reasons), max_samples).snr_db

    def is_exact(self, static: Static, other: Static) -> bool:
        """Whether the floats of another form compute what those of this one do, but for their rounding."""
        return self._comparing(static)(other.model, MAX_GLANCED).snr_db >= EXACT_DB

    def _comparing(self, static: Static) -> OutputComparer:
        if self._comparer is None:
            self._comparer = self._on(static, self._judged)
        return self._comparer

    def _on(self, static: Static, samples: Samples) -> OutputComparer:
        context = self._context
        return OutputComparer(static.model, samples, context.scratch, target=context.target, apart=True)

    def _form(self, static: Static) -> Static:
        """With ranges, and means where biases are corrected, of those samples alone that nothing is judged on; measured
        once for each graph."""
        edit, form = self._forms.get(id(static.edit), (None, None))
        if edit is None or form is None:
            form = replace(static, samples=self._measured, distributions={}, means={}, _ranges={})
            self._forms[id(static.edit)] = static.edit, form
        form.spared = static.spared
        if static.corrects_biases and not form.means:
            form.means = form.channel_means()
        return form


def _apart(context: Context, samples: Samples) -> tuple[Samples, Samples]:
    """Rows to judge on, and those of the samples that were not taken for it, where others were not to be had."""
    drawn = np.asarray(samples.rows)
    available = samples if context.calibration is None else context.calibration
    others = np.setdiff1d(np.asarray(available.rows), drawn)
    if len(others) >= max(MAX_GLANCED, samples.fixed_batch or 1):
        return available.with_rows(others).draw(MAX_JUDGED, context.seed), samples
    judged = samples.draw(min(MAX_JUDGED, max(1, len(samples) // 4)), context.seed)
    rest = np.setdiff1d(drawn, np.asarray(judged.rows))
    return judged, samples.with_rows(rest) if len(rest) >= max(1, samples.fixed_batch or 1) else samples
