"""Run an ONNX file, with errors that a user understands."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

import numpy as np

from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from winnow.contract.shapes import Dimension
from winnow.contract.target import DEFAULT_TARGET, Target
from worker.compression.graph.facts.batch_axis import Axes, batch_axes_of
from worker.compression.graph.facts.interface import interface_of
from worker.compression.ir.arrays import Array
from worker.compression.runtime.executable import TargetUnavailable
from worker.compression.runtime.targets import RUNTIME_NAMES, opener

Feed = dict[str, Array]


class Network:
    """A loaded model, its inputs, and its outputs that are tensors of numbers. `role` names it in errors: "the
    original"."""

    def __init__(
        self,
        model: Path,
        threads: int,
        role: str,
        batch_axes: Axes | None = None,
        target: Target = DEFAULT_TARGET,
    ) -> None:
        """`batch_axes`: of the model that this one was made from; operators of ONNX Runtime's own hide them."""
        self.role, self.threads, self.target = role, threads, target
        self.file: Final = model
        self.load()
        self.batch_axes = batch_axes_of(model) if batch_axes is None else batch_axes
        interface = interface_of(model, self.batch_axes)
        self.inputs = interface.inputs
        self.outputs = [output.name for output in interface.outputs if _numeric(output)]
        self.other_outputs = [output.name for output in interface.outputs if not _numeric(output)]

    def load(self) -> None:
        """Load the file, again after `unload`. Raises `target_unavailable`, `model_does_not_run`."""
        begun = perf_counter()
        try:
            self._executable = opener(self.target)(self.file, self.threads)
        except TargetUnavailable as error:
            raise Refusal("target_unavailable", str(error), field="target") from error
        except Exception as error:  # the runtimes' own errors have no common base
            raise self._refusal("could not be loaded", error) from error
        self.load_seconds = perf_counter() - begun
        self.run_all = partial(self._executable.run, None)
        """Runs once and returns all outputs as the runtime does: what is timed."""

    def unload(self) -> None:
        """Give the memory back; it runs no more until it is loaded again."""
        del self._executable, self.run_all

    @property
    def provider(self) -> str:
        """Where it runs in truth, as the runtime says it."""
        return self._executable.provider

    def narrow(self, inputs: Iterable[TensorSpec]) -> None:
        """Take the sizes that inputs of these names fix: whoever is measured beside another is fed with the same."""
        fixed = {spec.name: spec.shape for spec in inputs}
        self.inputs = [
            spec.model_copy(update={"shape": _narrowed(spec.shape, fixed.get(spec.name, []))})
            for spec in self.inputs
        ]

    def fit(self, feed: Feed) -> Feed:
        """Return the feed, single numbers too, in the dtypes that this network takes (float16 inputs, say)."""
        return {i.name: np.require(feed[i.name], np.dtype(i.dtype), ["C"]) for i in self.inputs}

    def run(self, feed: Feed, outputs: list[str] | None = None) -> list[Array]:
        """Run and return the named outputs, or all tensors, samples in front. Refuses with `model_does_not_run`."""
        names = self.outputs if outputs is None else outputs
        try:
            results = self._executable.run(names, self.fit(feed))
            return [batch_in_front(x, self.batch_axes.get(n, 0)) for n, x in zip(names, results, strict=True)]
        except Exception as error:
            raise self._refusal(
                f"failed on inputs {', '.join((f'{name} {list(x.shape)}' for name, x in feed.items()))}",
                error,
            ) from error

    def _refusal(self, what: str, error: Exception) -> Refusal:
        reason = str(error).replace(str(self.file), self.file.name).strip() or type(error).__name__
        runtime = RUNTIME_NAMES[self.target]
        return Refusal("model_does_not_run", f"In {runtime} {self.role} {what}: {reason[:500]}")


def _narrowed(shape: list[Dimension], fixed: list[Dimension]) -> list[Dimension]:
    if len(shape) != len(fixed):
        return shape
    return [size if isinstance(size, int) else dim for dim, size in zip(shape, fixed, strict=True)]


def _numeric(spec: TensorSpec) -> bool:
    """Whether it is a tensor of a dtype that numpy has."""
    try:
        return np.dtype(spec.dtype).kind in "biuf"
    except TypeError:
        return False


def batch_in_front(x: Array, axis: int | None) -> Array:
    """Move the batch to the first axis of the result; what has none, or is of rank 0, is left as it is."""
    return np.moveaxis(x, axis, 0) if axis and isinstance(x, np.ndarray) and x.ndim > axis else x
