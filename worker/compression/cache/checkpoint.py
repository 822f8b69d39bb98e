"""Finished steps, kept: a job that is run again, and another trial that begins with the same steps, goes on after them.

    folder/<key of the steps so far>/{model.onnx, reports.json}
    folder/<key of the steps so far>-unfinished/…                 the last of them is not finished (`unfinished.py`)

The key is of all that decides the graph (source, steps so far, data, seed), so one of another recipe is never taken.
Of many the least recently used go.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import onnx_ir as ir
from pydantic import TypeAdapter, ValidationError

from winnow.contract.recipe import AnyStep
from winnow.contract.report import StepReport
from worker.compression.cache.unfinished import OnKept, Unfinished, checkpoint_folder, tell_nobody
from worker.compression.onnx_files import model_files

MODEL, REPORTS = "model.onnx", "reports.json"
STEP_REPORTS: Final = TypeAdapter(list[StepReport])


class Checkpoints:
    """The checkpoints of one compression, or of all trials of a search. `base` is whatever, besides the steps, decides
    the outcome; `on_kept` is told of each checkpoint."""

    def __init__(self, folder: Path, base: str, on_kept: OnKept = tell_nobody) -> None:
        self._folder = checkpoint_folder(folder)
        self._base, self._on_kept = base, on_kept

    def last(self, steps: Sequence[AnyStep]) -> tuple[ir.Model, list[StepReport]] | None:
        """The graph after the longest finished run of `steps`, with the reports of all of them."""
        for count in range(len(steps), 0, -1):
            key = self._key(steps[:count])
            if (place := self._folder.hold(key)) is None:
                continue
            if (reports := _reports(place)) is not None and len(reports) == count:
                return model_files.load(place / MODEL), reports
            self._folder.remove(key)
        return None

    def keep(self, model: ir.Model, steps: Sequence[AnyStep], reports: Sequence[StepReport]) -> None:
        """Keep the graph after `steps`, of which the `reports` tell."""

        def write(folder: Path) -> None:
            model_files.save(model, folder / MODEL)
            (folder / REPORTS).write_bytes(STEP_REPORTS.dump_json(list(reports)))

        key = self._key(steps)
        self._folder.add(key, write)
        self._on_kept("finished", key)
        self.unfinished(steps).remove()

    def unfinished(self, steps: Sequence[AnyStep]) -> Unfinished:
        """What was reached in the last of the steps."""
        return Unfinished(self._folder, self._key(steps), self._on_kept)

    def _key(self, steps: Sequence[AnyStep]) -> str:
        text = self._base + json.dumps([step.model_dump(mode="json") for step in steps])
        return hashlib.sha256(text.encode()).hexdigest()


def _reports(place: Path) -> list[StepReport] | None:
    """None where they cannot be read."""
    try:
        return STEP_REPORTS.validate_json((place / REPORTS).read_bytes())
    except (OSError, ValidationError):
        return None
