"""Carry a model's state along the windows of a sound, or the rows of a group, and keep what each row was given.

From then on the state is an input like any other: whatever is calibrated, searched, trained or measured sees the states
that the original model reaches, and rows can be taken in any order.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort

from winnow.contract.errors import Refusal
from winnow.contract.fitting import own_map
from winnow.contract.model import TensorSpec
from winnow.contract.shapes import batch_axes
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.ir.arrays import Array
from worker.compression.machine.threads import usable_threads
from worker.compression.runtime.session import open_cpu_session

MAX_STATE_BYTES: Final = 2**34
"""Of all rows together."""


@dataclass(frozen=True)
class State:
    """What goes from an output to an input. `axis` is that of the batch; None where the model fixes its size."""

    output: str
    name: str
    spec: TensorSpec
    axis: int | None

    @property
    def zeros(self) -> Array:
        """The state at the beginning, of one row."""
        sizes = [1 if axis == self.axis else size for axis, size in enumerate(self.spec.shape)]
        fixed = [size for size in sizes if isinstance(size, int)]
        if len(fixed) < len(sizes):
            raise _refused(f"input {self.spec.name!r} is {self.spec.shape}: only its batch may be open")
        return np.zeros(fixed, np.dtype(self.spec.dtype))

    def of_row(self, value: Array) -> Array:
        return value if self.axis is None else np.take(value, 0, self.axis)


def state_arrays(
    model: Path, source: Source, inputs: list[TensorSpec], folder: Path, *, max_unpacked_bytes: int
) -> dict[str, Array]:
    """Return the state that each row of the source is given, by declared name, mapped; computed once in `folder`.

    Refuses with `invalid_declaration` what is no state of the model, and what `open_samples` refuses.
    """
    declared = source.declaration.state
    if not declared:
        return {}
    states = _states(source, inputs)
    key = f"{model.resolve()} {source.declaration.model_dump_json()} {sorted(source.map.items())}"
    prefix = "state-" + hashlib.sha256(key.encode()).hexdigest()[:32]
    paths = [folder / f"{prefix}-{number}.npy" for number in range(len(states))]
    if not all(path.exists() for path in paths):
        carried = {state.spec.name for state in states}
        others = [spec for spec in inputs if spec.name not in carried]
        stateless = Source(source.path, source.declaration, map=own_map(source.map, others))
        samples = open_samples(stateless, others, folder, max_unpacked_bytes=max_unpacked_bytes)
        _carry(open_cpu_session(model, threads=usable_threads()), samples, states, paths)
    return {state.name: np.load(path, mmap_mode="r") for state, path in zip(states, paths, strict=True)}


def _states(source: Source, inputs: list[TensorSpec]) -> list[State]:
    specs = {source.map.get(spec.name, spec.name): spec for spec in inputs}
    declared = source.declaration.state
    if len(set(declared.values())) < len(declared):
        raise _refused("two outputs are carried to one input")
    for name in declared.values():
        if name not in specs:
            raise _refused(f"the model has no input {name!r}; it has {', '.join(map(repr, specs))}")
        if name in source.declaration.inputs or name in source.declaration.constants:
            raise _refused(f"input {name!r} is declared as something else, too")
    axes = batch_axes(inputs)
    return [
        State(output, name, specs[name], next(iter(sorted(axes[specs[name].name])), None))
        for output, name in declared.items()
    ]


def _carry(
    session: ort.InferenceSession, samples: Samples, states: Sequence[State], paths: Sequence[Path]
) -> None:
    """Run the model over all rows in their order, and write down what each is given."""
    if samples.sequences is None:
        raise _refused("rows follow each other as windows of sounds (hop) or in a group: declare one of them")
    _check_outputs(session, states)
    zeros = [state.zeros for state in states]
    rows = len(samples.sequences)
    if rows * sum(zero.nbytes for zero in zeros) > MAX_STATE_BYTES:
        raise _refused(f"the states of {rows} rows take more than {MAX_STATE_BYTES} bytes")
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    parts = [path.with_suffix(".part") for path in paths]
    stores = [
        np.lib.format.open_memmap(part, "w+", zero.dtype, (rows, *state.of_row(zero).shape))
        for part, zero, state in zip(parts, zeros, states, strict=True)
    ]
    numbers = np.asarray(samples.rows)
    order = numbers[np.argsort(samples.sequences[numbers], kind="stable")]
    sequence, values = None, zeros
    for row in order:
        if samples.sequences[row] != sequence:
            sequence, values = samples.sequences[row], zeros
        for store, state, value in zip(stores, states, values, strict=True):
            store[row] = state.of_row(value)
        values = _next(session, samples, int(row), states, values)
    for store, part, path in zip(stores, parts, paths, strict=True):
        store.flush()
        part.replace(path)


def _next(
    session: ort.InferenceSession, samples: Samples, row: int, states: Sequence[State], values: list[Array]
) -> list[Array]:
    fed, _ = samples.at(np.array([row], np.int64))
    feeds = fed.feeds | {state.spec.name: value for state, value in zip(states, values, strict=True)}
    try:
        results: list[Array] = session.run([state.output for state in states], feeds)
    except Exception as error:  # ONNX Runtime's own types, which have no common base
        raise Refusal(
            "model_does_not_run", f"ONNX Runtime cannot run the model on row {row}: {str(error)[:300]}"
        ) from error
    for state, value, result in zip(states, values, results, strict=True):
        if result.shape != value.shape or result.dtype != value.dtype:
            raise _refused(
                f"output {state.output!r} is {result.dtype} {list(result.shape)}, and input {state.spec.name!r} takes "
                f"{value.dtype} {list(value.shape)}"
            )
    return results


def _check_outputs(session: ort.InferenceSession, states: Sequence[State]) -> None:
    outputs = [str(output.name) for output in session.get_outputs()]
    for state in states:
        if state.output not in outputs:
            raise _refused(
                f"the model has no output {state.output!r}; it has {', '.join(map(repr, outputs))}"
            )


def _refused(why: str) -> Refusal:
    return Refusal("invalid_declaration", f"The state cannot be carried: {why}.", field="declaration.state")
