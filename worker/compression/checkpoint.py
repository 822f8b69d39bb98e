"""Finished steps, kept: a job that is run again goes on after the last one.

    folder/00/{model.onnx, report.json}, folder/01/…

A checkpoint is written beside its place and renamed into it, so it is whole or not there. It carries the key of
all that decided it (source, steps so far, data, seed): one of another recipe is never taken.
"""

import errno
import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir

from winnow.contract.recipe import AnyStep
from winnow.contract.report import StepReport
from worker.compression.data.source import Data, Source
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.sizes import sha256_of
from worker.compression.options import Options


class Checkpoints:
    """The checkpoints of one compression. `base` is whatever, besides the steps, decides the outcome."""

    def __init__(self, folder: Path, base: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._base = folder, base

    def last(self, steps: Sequence[AnyStep]) -> tuple[ir.Model, list[StepReport]] | None:
        """The graph after the longest finished run of `steps`, with the reports of all of them."""
        reports: list[StepReport] = []
        for index in range(len(steps)):
            report = self._report(index, self._key(steps[: index + 1]))
            if report is None:
                break
            reports.append(report)
        return (model_files.load(self._place(len(reports) - 1) / "model.onnx"), reports) if reports else None

    def keep(self, model: ir.Model, steps: Sequence[AnyStep], report: StepReport) -> None:
        """Keep the graph after `steps`, the last of which `report` tells of."""
        place, key = self._place(report.index), self._key(steps)
        if self._report(report.index, key) is not None:
            return  # another attempt was faster, and may be reading it
        partial = Path(tempfile.mkdtemp(dir=self._folder, prefix="partial-"))
        try:
            model_files.save(model, partial / "model.onnx")
            record = {"key": key, "report": report.model_dump(mode="json")}
            (partial / "report.json").write_text(json.dumps(record))
            shutil.rmtree(place, ignore_errors=True)
            _rename_first(partial, place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _report(self, index: int, key: str) -> StepReport | None:
        try:
            record = json.loads((self._place(index) / "report.json").read_text())
        except FileNotFoundError:
            return None
        return StepReport.model_validate(record["report"]) if record["key"] == key else None

    def _key(self, steps: Sequence[AnyStep]) -> str:
        text = self._base + json.dumps([step.model_dump(mode="json") for step in steps])
        return hashlib.sha256(text.encode()).hexdigest()

    def _place(self, index: int) -> Path:
        return self._folder / f"{index:02}"


def _rename_first(partial: Path, place: Path) -> None:
    """Or leave it, when another attempt at the same steps put its own there meanwhile."""
    try:
        partial.rename(place)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def fingerprint(source_sha256: str, data: Data, options: Options) -> str:
    """What decides a step besides the steps: the source's bytes, the data, other models, the seed and the runtime."""
    used = [_identity(source) for source in (data.calibration, data.training)]
    others = {name: sha256_of(path) for name, path in options.models.items()}
    return json.dumps([source_sha256, used, others, options.seed, options.target], sort_keys=True)


def _identity(source: Source | None) -> list[object] | None:
    if source is None:
        return None
    declared = source.declaration.model_dump(mode="json")
    chosen = source.chosen and source.chosen.bits
    return [sha256_of(source.path), declared, source.slice, source.map, *([chosen] if chosen else [])]
