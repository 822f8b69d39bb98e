"""Simulates the result on an x86 CPU without VNNI, where there is something to simulate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx_ir as ir

from winnow.contract import units
from winnow.contract.robustness import WithoutVnni
from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit
from worker.compression.machine.threads import usable_threads
from worker.compression.measure.network import Feed, Network, batch_in_front
from worker.compression.measure.quality.parity import OutputDifference
from worker.compression.measure.robustness.dependence import NotMeasured
from worker.compression.measure.robustness.without_vnni.emulation import Emulator, How
from worker.compression.measure.robustness.without_vnni.integer_layers import integer_layers, not_looked_into
from worker.compression.measure.robustness.without_vnni.pairs import ExposedPairs, exposed_pairs
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.runtime.session import open_cpu_session

MOST_BYTES: Final = 256 << 20
MOST_SUMS: Final = 3_000_000
"""That are computed before no further sample is begun."""
MOST_SUMS_OF_A_LAYER: Final = 30_000_000
"""For one sample: floats that are there at once, a few times over."""
LEAST_OPSET: Final = 13
NO_LOSS_DB: Final = 1.0


@dataclass(frozen=True)
class Side:
    """Signal to noise of each output against the original's, None where they are the same; and each counter of the
    layers over all samples [layers, counters]."""

    snr_db: list[float | None]
    counted: Array


def without_vnni(artifact: Path, original: Network, feeds: Callable[[], Sequence[Feed]]) -> WithoutVnni:
    """Run a few samples through the result three times over, where any of its sums may be cut off. Raises
    `NotMeasured`, and what `Network.run` raises."""
    if bytes_of(artifact) > MOST_BYTES:
        raise NotMeasured(f"Files of more than {units.size(MOST_BYTES)} are not simulated.")
    model = model_files.load(artifact)
    exposed = [exposed_pairs(layer.matrix) for layer in integer_layers(model.graph)]
    real = [pairs for pairs in exposed if pairs is not None]
    if not real:
        return _nothing_to_simulate(len(exposed), not_looked_into(model))
    if model.opset_imports.get("", 0) < LEAST_OPSET:
        raise NotMeasured(f"Graphs below opset {LEAST_OPSET} are not simulated.")
    exact = Emulated(model, "exact", exposed, original)
    fed = list(feeds())
    fed = fed[: _affordable(exact.run(fed[:1]), real)]
    sides = [exact, *(Emulated(model, how, exposed, original) for how in _OTHERS)]
    as_exact, as_cut_off, as_narrow = (side.run(fed) for side in sides)
    worst = min(range(len(original.outputs)), key=lambda i: _order(as_cut_off.snr_db[i]))
    share = float(as_cut_off.counted[:, 0].sum() / max(1.0, _real_sums(as_cut_off, real)))
    figures = as_exact.snr_db[worst], as_cut_off.snr_db[worst], as_narrow.snr_db[worst]
    return WithoutVnni(
        layers=len(exposed),
        exposed=len(real),
        cut_off=share,
        exact_db=figures[0],
        cut_off_db=figures[1],
        seven_bits_db=figures[2],
        says=_sentence(len(exposed), len(real), share, figures) + _others(not_looked_into(model)),
    )


_OTHERS: Final[tuple[How, How]] = ("cut off", "seven bits")


class Emulated:
    """The model, its integer layers computed in this way, beside the original. Graph optimizations are off: kernels for
    integers would take the place of what is written out in floats."""

    def __init__(
        self, model: ir.Model, how: How, exposed: Sequence[ExposedPairs | None], original: Network
    ) -> None:
        edit = GraphEdit(model.clone())
        self._emulator, self._original = Emulator(edit, how), original
        for layer, pairs in zip(integer_layers(edit.graph), exposed, strict=True):
            if pairs is not None:
                self._emulator.write(layer, pairs)
        written = ir.to_proto(edit.model).SerializeToString()
        self._session = open_cpu_session(written, threads=usable_threads(), optimize=False)

    def run(self, feeds: Sequence[Feed]) -> Side:
        inputs = [value.name for value in self._session.get_inputs()]
        names, axes = self._original.outputs, self._original.batch_axes
        counters = self._emulator.counters
        wanted = [*names, *(name for of_layer in counters for name in of_layer)]
        differences, counted = [OutputDifference(name) for name in names], np.zeros(len(wanted) - len(names))
        for feed in feeds:
            expected = self._original.run(feed, names)
            results = self._session.run(wanted, {name: feed[name] for name in inputs})
            for difference, x, y in zip(differences, expected, results, strict=False):
                difference.add(x, batch_in_front(y, axes.get(difference.name, 0)), 1)
            counted += results[len(names) :]
        snr = [it.result(1, "random").snr_db if it.other_shape is None else None for it in differences]
        return Side(snr, counted.reshape(len(counters), len(counted) // max(1, len(counters))))


def _affordable(exact: Side, real: Sequence[ExposedPairs]) -> int:
    """How many samples have no more than `MOST_SUMS` in all, one at least; by how large each layer is for one. Raises
    `NotMeasured`."""
    sums = [size * pairs.places.shape[1] for (size,), pairs in zip(exact.counted, real, strict=True)]
    if max(sums) > MOST_SUMS_OF_A_LAYER:
        raise NotMeasured("Its layers are too large to be simulated.")
    return max(1, int(MOST_SUMS // sum(sums)))


def _real_sums(side: Side, exposed: Sequence[ExposedPairs]) -> float:
    """How many of the sums are of pairs that may be cut off, without those that fill up."""
    shares = [pairs.count / pairs.places[..., 0].size for pairs in exposed]
    return float((side.counted[:, 1] * shares).sum())


def _order(snr_db: float | None) -> float:
    return np.inf if snr_db is None else snr_db


def _nothing_to_simulate(layers: int, others: int) -> WithoutVnni:
    if layers:
        says = (
            f"A CPU without VNNI cuts off nothing in its {layers} layers of 8-bit products: no two weights whose "
            "products it adds in 16 bits are large enough."
        )
    elif others:
        says = "It is not known what a CPU without VNNI cuts off."
    else:
        says = "A CPU without VNNI cuts off nothing: no layer multiplies uint8 by int8."
    says += _others(others)
    return WithoutVnni(
        layers=layers, exposed=0, cut_off=None, exact_db=None, cut_off_db=None, seven_bits_db=None, says=says
    )


def _others(count: int) -> str:
    if not count:
        return ""
    return f" Not looked into: {count} nodes that multiply integers in a form of their own, or in a branch or body."


def _sentence(layers: int, exposed: int, share: float, figures: tuple[float | None, ...]) -> str:
    exact, cut_off, narrow = ("no noise" if it is None else f"{it:.1f} dB" for it in figures)
    text = (
        f"A CPU without VNNI can cut off sums in {exposed} of {layers} layers of 8-bit products, and does so with "
        f"{share:.2%} of those that can be (simulated): the worst output is at {cut_off} from the original's there, "
        f"at {exact} with VNNI, and at {narrow} with these weights in 7 bits."
    )
    if _order(figures[1]) >= _order(figures[0]) - NO_LOSS_DB:
        return f"{text} That costs nothing."
    return f'{text} For such CPUs ask for "target": "cpu" in the step.'
