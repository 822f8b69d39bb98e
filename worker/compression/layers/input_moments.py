"""Measures first and second moments of what reaches each layer, streamed: H = Σ x xᵀ over the rows that it multiplies.

All layer-wise methods (least-squares reconstruction, Wanda, SparseGPT, whitened low rank, GPTQ) need no more data.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import onnx_ir as ir

from winnow.contract.errors import Refusal
from worker.compression.cache.shared_arrays import UNSHARED, SharedArrays
from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array
from worker.compression.ir.values import required_input
from worker.compression.layers.linear import Linear
from worker.compression.runtime.inner_values import observable_inside
from worker.compression.runtime.observe import Observer

MAX_HELD_BYTES = 1 << 30
"""Bytes of all sums that are held at once; where layers need more, the data is run again for the rest."""
UNSEEN: Final = "what reaches them in a branch or body cannot be observed, or no calibration sample takes it"
"""Why the moments of some layers are not known."""
MAX_ROWS = 1 << 14
"""Rows of one layer and batch that are summed; of more, a random part."""


@dataclass
class Moments:
    """Sums over `rows` rows, for each group: `hessian` float64 [groups, in, in], `first` Σ x and `absolute` Σ |x|
    float64 [groups, in]."""

    hessian: Array
    first: Array
    absolute: Array
    rows: int = 0

    @classmethod
    def empty(cls, layer: Linear) -> "Moments":
        groups, _, inner = layer.shape
        return cls(np.zeros((groups, inner, inner)), np.zeros((groups, inner)), np.zeros((groups, inner)))

    def add(self, x: Array) -> None:
        """Add rows, float32 [groups, rows, in]."""
        with np.errstate(over="ignore", invalid="ignore"):  # checked at the end
            self.hessian += x.swapaxes(1, 2) @ x
        self.first += x.sum(1, dtype=np.float64)
        self.absolute += np.abs(x).sum(1, dtype=np.float64)
        self.rows += x.shape[1]

    @property
    def squares(self) -> Array:
        """Σ x², float64 [groups, in]."""
        return np.diagonal(self.hessian, axis1=1, axis2=2)


def measurable(model: ir.Model) -> Callable[[Linear], bool]:
    """Tell the layers whose moments can be taken: all that reads the weight multiplies values of the main graph, or
    values of branches and bodies that there is a way out for."""
    inner = observable_inside(model)

    def is_measurable(layer: Linear) -> bool:
        data = [required_input(reader.node, 0) for reader in layer.readers]
        return all(value.graph is model.graph or value in inner for value in data)

    return is_measurable


def moments(
    model: ir.Model,
    layers: Sequence[Linear],
    samples: Samples,
    report_progress: Callable[[float], None],
    shared: SharedArrays = UNSHARED,
) -> Iterator[tuple[Linear, Moments]]:
    """Sum up the moments of each layer, in order, over all that reads its weight, or take over another trial's.

    Of layers in branches that no sample takes, and in bodies of no turns, there are no rows.
    Raises `not_finite` naming the layer whose inputs' squares overflow, and what `Observer` raises.
    """
    runs = list(runs_within_memory(layers))
    for number, run in enumerate(runs):
        part: Callable[[float], None] = lambda done, number=number: report_progress(  # type: ignore[misc]  # noqa: E731
            (number + done) / len(runs)
        )
        all_sums = shared.once(
            "moments",
            model,
            samples,
            [[reader.name for reader in layer.readers] for layer in run],
            partial(_summed, model, run, samples, part),
            to_arrays=_to_arrays,
            from_arrays=partial(_from_arrays, run),
        )
        part(1.0)
        for layer, sums in zip(run, all_sums, strict=True):
            _check_finite(layer, sums)
            yield layer, sums


def _summed(
    model: ir.Model, run: Sequence[Linear], samples: Samples, report_progress: Callable[[float], None]
) -> list[Moments]:
    pairs, done = [(layer, Moments.empty(layer)) for layer in run], 0
    readers = [(reader, sums) for layer, sums in pairs for reader in layer.readers]
    for batch in Observer(model, [reader.data for reader, _ in readers]).run(samples):
        for (reader, sums), x in zip(readers, batch.values, strict=True):
            if x.size:
                sums.add(reader.columns(x, MAX_ROWS))
        done += batch.rows
        report_progress(min(1.0, done / len(samples)))
    return [sums for _, sums in pairs]


def _to_arrays(all_sums: Sequence[Moments]) -> dict[str, Array]:
    arrays = {"rows": np.array([sums.rows for sums in all_sums], np.int64)}
    for number, sums in enumerate(all_sums):
        arrays[f"hessian_{number}"], arrays[f"first_{number}"] = sums.hessian, sums.first
        arrays[f"absolute_{number}"] = sums.absolute
    return arrays


def _from_arrays(run: Sequence[Linear], arrays: Mapping[str, Array]) -> list[Moments]:
    """Raises `ValueError` where they are no moments of these layers."""
    all_sums = []
    for number, (layer, rows) in enumerate(zip(run, arrays["rows"].tolist(), strict=True)):
        empty, sums = (
            Moments.empty(layer),
            Moments(
                arrays[f"hessian_{number}"], arrays[f"first_{number}"], arrays[f"absolute_{number}"], rows
            ),
        )
        for array, own in zip(
            (sums.hessian, sums.first, sums.absolute),
            (empty.hessian, empty.first, empty.absolute),
            strict=True,
        ):
            if array.shape != own.shape or array.dtype != own.dtype:
                raise ValueError("not the moments of this layer")
        all_sums.append(sums)
    return all_sums


def _check_finite(layer: Linear, sums: Moments) -> None:
    if not np.isfinite(sums.hessian).all():
        raise Refusal(
            "not_finite",
            "The inputs of this layer are so large that their squares overflow. Check the data's scale, or exclude it.",
            layer=layer.name,
        )


def runs_within_memory(
    layers: Sequence[Linear], matrices: int = 1, max_layers: int | None = None
) -> Iterator[list[Linear]]:
    """Split layers into runs whose sums, so many `matrices` [in, in] for each, fit into `MAX_HELD_BYTES`."""
    run: list[Linear] = []
    run_bytes = 0
    for layer in layers:
        groups, _, inner = layer.shape
        size = matrices * 8 * groups * inner * inner
        if run and (len(run) == max_layers or run_bytes + size > MAX_HELD_BYTES):
            yield run
            run, run_bytes = [], 0
        run.append(layer)
        run_bytes += size
    if run:
        yield run
