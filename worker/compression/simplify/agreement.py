"""How far the outputs of two graphs lie apart, both computed as they are written, without ONNX Runtime's optimizers."""

import logging
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.measure.network import Feed
from worker.compression.onnx_files import model_files
from worker.compression.runtime.session import open_cpu_session

log = logging.getLogger(__name__)

MAX_ERROR: Final = 1e-5
"""Of each output's largest magnitude, where the order of float operations changed."""


class NothingToCompare(Exception):
    """The graph runs only as ONNX Runtime optimizes it, or answers otherwise each time. The message is a clause."""


class Reference:
    """What a graph answers to one feed."""

    def __init__(self, source: ir.Model | Path, feed: Feed, scratch: Path) -> None:
        """Raises `NothingToCompare`."""
        self._feed, self._scratch = feed, scratch
        path = source if isinstance(source, Path) else _saved(source, scratch / "reference.onnx")
        try:
            self._outputs, again = _run(path, feed), _run(path, feed)
        except Exception as error:  # ONNX Runtime's errors have no common base
            raise NothingToCompare("the model does not run without ONNX Runtime's optimizers") from error
        if _largest_error(self._outputs, again) != 0:
            raise NothingToCompare("the model answers otherwise each time")

    def largest_error_of(self, model: ir.Model) -> float:
        """Return the largest difference of any output as a share of that output's largest magnitude: 0 where every bit
        is the same, infinity where ONNX Runtime does not run it or it answers something else."""
        try:
            outputs = _run(_saved(model, self._scratch / "compared.onnx"), self._feed)
        except Exception:  # what does not run is no candidate
            log.info("the simplified model does not run", exc_info=True)
            return np.inf
        return _largest_error(self._outputs, outputs)


def _saved(model: ir.Model, path: Path) -> Path:
    model_files.save(model.clone(), path)
    return path


def _run(path: Path, feed: Feed) -> list[Any]:
    session = open_cpu_session(path, optimize=False)
    read = {each.name for each in session.get_inputs()}
    results: list[Any] = session.run(None, {name: array for name, array in feed.items() if name in read})
    return results


def _largest_error(before: list[Any], after: list[Any]) -> float:
    pairs = zip(before, after, strict=True)
    return max((_error(a, b) for a, b in pairs if isinstance(a, np.ndarray)), default=0.0)


def _error(before: Array, after: Array) -> float:
    if not isinstance(after, np.ndarray) or (before.shape, before.dtype) != (after.shape, after.dtype):
        return np.inf
    if before.tobytes() == after.tobytes():
        return 0.0
    if before.dtype.kind not in "f":
        return np.inf
    a, b = before.astype(np.float64), after.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if not np.isfinite(a[~same]).all() or not np.isfinite(b[~same]).all():
        return np.inf
    largest = np.abs(a[np.isfinite(a)]).max(initial=0.0)
    return float(
        np.abs(a - b, where=~same, out=np.zeros_like(a)).max(initial=0.0)
        / max(largest, np.finfo(np.float32).tiny)
    )
