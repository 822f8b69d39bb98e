"""Observe values inside a graph while ONNX Runtime runs it, batch by batch, at most `MAX_OBSERVED_BYTES` at a time."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from winnow.contract.errors import Refusal
from worker.compression.data.samples import Fed
from worker.compression.data.trimming import trimmed
from worker.compression.ir.arrays import Array
from worker.compression.machine.threads import usable_threads
from worker.compression.runtime.inner_values import with_ways_out
from worker.compression.runtime.session import open_cpu_session

MAX_BATCH = 32
WEIGHTED = ("MatMul", "Gemm", "Conv", "LSTM", "GRU", "RNN")
MAX_OBSERVED_BYTES = 32 << 20
"""Observed values of one batch, at most; the batch shrinks where single samples are large."""


class Batches(Protocol):
    """Rows of data as feeds: `Samples`, or random numbers in their place."""

    def take(self, n: int, /) -> "Batches": ...

    def batches(self, size: int, /) -> Iterator[dict[str, Array]]: ...

    def unpadded(self) -> "Batches": ...
    def largest(self) -> "Batches": ...
    def fed_batches(self, size: int, /) -> Iterator[Fed]: ...


@dataclass(frozen=True)
class ObservedBatch:
    """One batch: the rows in it, the observed values in the order of `Observer.values`, and (least, largest) of each.

    Of a value without elements the extremes are (inf, -inf); of all values they are missing where nothing was checked.
    """

    rows: int
    values: list[Array]
    extremes: list[tuple[float, float]] = field(default_factory=list)


class Observer:
    """The observed values become extra outputs of the graph, those of branches and bodies by a way out; graph inputs
    are taken from the feeds."""

    def __init__(self, model: ir.Model, values: list[str]) -> None:
        """Raises `Refusal` `model_does_not_run`."""
        self._model, self.values = model, values
        self._widths = widths(model)
        opened, self._ways = with_ways_out(model, values)
        self._session = _session(opened, [self._led_out(name) for name in values])

    def run(
        self,
        samples: Batches,
        size: int | None = None,
        *,
        checked: bool = False,
        infinite: Collection[str] = (),
    ) -> Iterator[ObservedBatch]:
        """Run all samples, `size` at a time or as many as `batch_size` says; what is computed from padding is cut off.

        `checked`: these samples were run before, and need not be looked through again; values of `infinite` may be
        that. Raises `not_finite` naming the layer with NaN or infinity, `model_does_not_run`.
        """
        samples = samples.unpadded()
        for fed in samples.fed_batches(size or self.batch_size(samples)):
            seen = self._once(fed)
            if not checked:
                named = zip(self.values, seen.values, strict=True)
                seen.extremes.extend(
                    finite_extremes(self._model, name, x, infinite=name in infinite) for name, x in named
                )
            yield seen

    def batch_size(self, samples: Batches) -> int:
        """Choose the batch size at which the observed values take at most `MAX_OBSERVED_BYTES`."""
        observed = self._once(next(samples.largest().fed_batches(1))).values
        return int(np.clip(MAX_OBSERVED_BYTES // max(1, sum(x.nbytes for x in observed)), 1, MAX_BATCH))

    def observe(self, fed: Fed) -> list[Array]:
        """Run one batch, and return the values of it as they are. Raises `model_does_not_run`."""
        return self._once(fed).values

    def _led_out(self, name: str) -> str:
        return str(self._ways[name].output.name) if name in self._ways else name

    def _once(self, fed: Fed) -> ObservedBatch:
        feeds = fed.feeds
        computed = [name for name in self.values if name not in feeds]
        try:  # run(None or []) would compute every output
            outer = [self._led_out(name) for name in computed]
            results = self._session.run(outer, feeds) if computed else []
        except Exception as error:  # ONNX Runtime's own types, which have no common base
            raise _broken(error) from error
        results = [
            self._ways[name].read(x) if name in self._ways else x
            for name, x in zip(computed, results, strict=True)
        ]
        all_values = feeds | dict(zip(computed, results, strict=True))
        values = [all_values[name] for name in self.values]
        if fed.padded:
            once = not self._widths.isdisjoint(fed.padded)
            values = [trimmed(x, fed.rows, fed.padded, once=once) for x in values]
        return ObservedBatch(fed.rows, values)


def _session(model: ir.Model, values: list[str]) -> ort.InferenceSession:
    model, folder = _mapped(model)
    proto = ir.to_proto(model)
    known_names = {output.name for output in proto.graph.output} | {value.name for value in proto.graph.input}
    typed = {value.name: value for value in proto.graph.value_info}
    for name in dict.fromkeys(values):
        if name not in known_names:
            # of an unknown type ONNX Runtime knows it itself
            proto.graph.output.append(typed.get(name) or onnx.ValueInfoProto(name=name))
    entries = {}
    if folder is not None:
        entries["session.model_external_initializers_file_folder_path"] = folder
        entries["session.disable_prepacking"] = "1"  # it copies every weight
    try:
        return open_cpu_session(proto.SerializeToString(), threads=usable_threads(), entries=entries)
    except Exception as error:  # ONNX Runtime's own types, which have no common base
        raise _broken(error) from error


def widths(model: ir.Model) -> set[int]:
    """Collect the sizes of the weights: an axis of such a size may be channels, where positions are as many."""
    weights = [
        value.const_value.shape
        for node in model.graph
        if node.op_type in WEIGHTED
        for value in node.inputs
        if value is not None and value.const_value is not None
    ]
    return {size for shape in weights for size in shape.numpy()}


def _mapped(model: ir.Model) -> tuple[ir.Model, str | None]:
    """Return the model and the folder of its external weights; what lies in any other is read into a copy."""
    outside = [v for v in model.graph.initializers.values() if isinstance(v.const_value, ir.ExternalTensor)]
    sizes: Counter[str] = Counter()
    for value in outside:
        assert isinstance(value.const_value, ir.ExternalTensor)
        sizes[str(value.const_value.base_dir)] += value.const_value.nbytes
    if not sizes:
        return model, None
    ((folder, _),) = sizes.most_common(1)
    copy = model.clone() if len(sizes) > 1 else model
    for value in outside:
        tensor = value.const_value
        if isinstance(tensor, ir.ExternalTensor) and str(tensor.base_dir) != folder:
            read = ir.Tensor(tensor.numpy().copy(), dtype=tensor.dtype, name=tensor.name)
            copy.graph.initializers[str(value.name)].const_value = read
    return copy, folder


def _broken(error: Exception) -> Refusal:
    return Refusal(
        "model_does_not_run", f"ONNX Runtime cannot run the model on the calibration data: {error}"
    )


def finite_extremes(model: ir.Model, name: str, x: Array, *, infinite: bool = False) -> tuple[float, float]:
    """Find the least and the largest number. Raises `not_finite` for NaN and, unless `infinite`, for infinity."""
    if not x.size:
        return np.inf, -np.inf
    low, high = float(x.min()), float(x.max())
    if (np.isfinite(low) and np.isfinite(high)) or (infinite and not np.isnan(low)):
        return low, high
    value = next((v for node in model.graph for v in node.outputs if v.name == name), None)
    producer = value.producer() if value is not None else None
    raise Refusal(
        "not_finite",
        f"Value {name!r} became NaN or infinity on the calibration data. Check the layer's weights and the data's "
        "scale, mean and std, or exclude what overflows.",
        layer=producer.name if producer is not None else None,
    )
