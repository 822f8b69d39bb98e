"""Run an ONNX file, with errors that a user understands."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.graph.facts.batch_axis import Axes, batch_axes_of
from worker.compression.ir.arrays import Array
from worker.compression.runtime.session import open_session

Feed = dict[str, Array]

DTYPES = {"float": "float32", "double": "float64"}
"""ONNX Runtime's names of types where they differ from numpy's."""


class Network:
    """A session, its inputs, and its outputs that are tensors of numbers. `role` names it in errors: "the original"."""

    def __init__(self, model: Path, threads: int, role: str, batch_axes: Axes | None = None) -> None:
        """`batch_axes`: of the model that this one was made from; operators of ONNX Runtime's own hide them."""
        self.role = role
        self.threads = threads
        self._file = model
        try:
            self.session = open_session(model, threads)
        except Exception as error:  # ONNX Runtime's own errors have no common base
            raise self._refusal("could not be loaded", error) from error
        self.batch_axes = batch_axes_of(model) if batch_axes is None else batch_axes
        self.inputs = [_spec(value, self.batch_axes) for value in self.session.get_inputs()]
        self.outputs = [str(o.name) for o in self.session.get_outputs() if _numeric(o)]
        self.other_outputs = [str(o.name) for o in self.session.get_outputs() if o.name not in self.outputs]

    @property
    def provider(self) -> str:
        """Where it runs in truth: ONNX Runtime falls back silently when CUDA cannot be loaded."""
        return str(self.session.get_providers()[0])

    def fit(self, feed: Feed) -> Feed:
        """Return the feed, single numbers too, in the dtypes that this network takes (float16 inputs, say)."""
        return {i.name: np.require(feed[i.name], np.dtype(i.dtype), ["C"]) for i in self.inputs}

    def run(self, feed: Feed, outputs: list[str] | None = None) -> list[Array]:
        """Run and return the named outputs, or all tensors, samples in front. Refuses with `model_does_not_run`."""
        names = self.outputs if outputs is None else outputs
        try:
            results = self.session.run(names, self.fit(feed))
            return [_front(x, self.batch_axes.get(n, 0)) for n, x in zip(names, results, strict=True)]
        except Exception as error:
            raise self._refusal(
                f"failed on inputs {', '.join((f'{name} {list(x.shape)}' for name, x in feed.items()))}",
                error,
            ) from error

    def _refusal(self, what: str, error: Exception) -> Refusal:
        reason = str(error).replace(str(self._file), self._file.name).strip() or type(error).__name__
        return Refusal("model_does_not_run", f"In ONNX Runtime {self.role} {what}: {reason[:500]}")


def _numeric(value: ort.NodeArg) -> bool:
    """Whether it is a tensor of a dtype that numpy has."""
    try:
        return np.dtype(_spec(value, {}).dtype).kind in "biuf"
    except TypeError:
        return False


def _front(x: Array, axis: int | None) -> Array:
    """Move the batch to the first axis of the result; what has none, or is of rank 0, is left as it is."""
    return np.moveaxis(x, axis, 0) if axis and isinstance(x, np.ndarray) and x.ndim > axis else x


def _spec(value: ort.NodeArg, axes: Axes) -> TensorSpec:
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    return TensorSpec(
        name=value.name,
        dtype=DTYPES.get(kind, kind),
        shape=list(value.shape),
        batch_axis=axes.get(value.name, 0),
    )
