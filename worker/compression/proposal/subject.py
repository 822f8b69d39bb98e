"""The two that a proposal is about, opened: a model that can be run, and a table whose rows can be read."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort

from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.model import ModelFacts
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.data.table import Table
from worker.compression.graph.facts.facts import facts
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.ir.arrays import Array
from worker.compression.onnx_files import model_files
from worker.compression.runtime.session import open_cpu_session
from worker.compression.runtime.state import state_arrays
from worker.compression.upload.inspection import open_model

THREADS: Final = 2


@dataclass(frozen=True)
class Runnable:
    """A model as ONNX Runtime has it; `file` is plain ONNX."""

    facts: ModelFacts
    session: ort.InferenceSession = field(repr=False)
    file: Path

    def samples(self, source: Source, scratch: Path, *, max_unpacked_bytes: int) -> Samples:
        """Open a source for this model, carried states included. Raises `Refusal`."""
        inputs, cap = self.facts.inputs, max_unpacked_bytes
        states = state_arrays(self.file, source, inputs, scratch, max_unpacked_bytes=cap)
        return open_samples(source, inputs, scratch, max_unpacked_bytes=cap, states=states)


@dataclass(frozen=True)
class Subject:
    """A model and a dataset. `scratch` is a folder of this question's own."""

    model: Runnable
    path: Path
    table: Table
    scratch: Path
    max_unpacked_bytes: int

    def samples(self, declaration: Declaration, rows: int) -> Samples:
        """Open so many rows, spread over all of the data: it may be ordered by class. Raises `Refusal`."""
        source, cap = Source(self.path, declaration), self.max_unpacked_bytes
        samples = self.model.samples(source, self.scratch, max_unpacked_bytes=cap)
        chosen = np.asarray(samples.rows)[spread(len(samples), rows)]
        batch = samples.fixed_batch or 1
        return replace(samples, rows=chosen[: max(batch, len(chosen) - len(chosen) % batch)])

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """Return the model's outputs. Raises `Refusal` `model_does_not_run`."""
        try:
            outputs: list[Array] = self.model.session.run(None, feeds)
        except MemoryError:
            raise
        except Exception as error:  # ONNX Runtime's have no common base
            raise Refusal("model_does_not_run", f"The model does not run on this data: {error}") from error
        return outputs


def open_runnable(model: Path, scratch: Path, *, max_unpacked_bytes: int) -> Runnable:
    """Open a model that passed inspection. Raises `Refusal`."""
    file = open_model(model, scratch / "model", max_unpacked_bytes=max_unpacked_bytes)
    known = facts(normalise(model_files.load(file)))
    return Runnable(known, open_cpu_session(file, threads=THREADS), file)


def spread(total: int, rows: int) -> Array:
    """Choose so many of all rows, evenly over them."""
    return np.unique(np.linspace(0, max(total - 1, 0), min(rows, total)).astype(np.int64))
