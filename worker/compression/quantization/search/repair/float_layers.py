"""Leaves the layers in float that cost the outputs most per multiply-accumulate: where nothing is uneven, 8 bits are
too few for some layers all the same, mostly the first ones, whose noise all others pass on.

    n_s = 10^(−SNR_s / 10)     noise of a stretch s of layers, in the graph's order, all others in float
    by n_s / MACs_s            stretches go to float one after the other, until the outputs suffice

Stretches, not single layers: between two layers in float nothing is quantized, so that the noise of the values there
goes too. The noisiest are halved until they are known (noises of single layers add up almost linearly while they are
small: Wu et al. 2020, arXiv:2004.09602, section 5).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import Final

from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.float_costs import Costs
from worker.compression.quantization.search.repair.judge import MIN_GAIN_DB, Judge
from worker.compression.quantization.search.repair.repairs import Repair
from worker.compression.quantization.search.sensitivity import MAX_SINGLE_LAYER_SAMPLES, all_but

MAX_SHARE: Final = 1 / 3
"""Of the model's multiply-accumulates in float: more, and little of the speed is left."""
FIRST_STRETCHES: Final = 8
MAX_HALVED: Final = 8


@dataclass(frozen=True)
class Stretch:
    """Layers behind one another; `noise` is its power over the signal's at the outputs, with all others in float."""

    layers: tuple[str, ...]
    noise: float

    @property
    def snr_db(self) -> float:
        return -10 * log10(self.noise)

    @property
    def words(self) -> str:
        first, last = self.layers[0], self.layers[-1]
        who = f"{first!r}" if first == last else f"{first!r} to {last!r}"
        return f"{who} in 8 bits, all else in float, leave {self.snr_db:.1f} dB"


def leave_layers_in_float(static: Static, judge: Judge, enough_db: float, costs: Costs) -> list[Repair]:
    """Name in `static.spared` what stays float so that the outputs are `enough_db` above their error, or come as near
    as `MAX_SHARE` allows, and answer what that brought; nothing where it brought less than `MIN_GAIN_DB`."""
    layers = [str(node.name) for node in static.selection().weighted]
    before = judge.snr_db(static) if len(layers) > 1 else enough_db
    if before >= enough_db:
        return []
    stretches = _stretches(static, judge, layers)
    stretches.sort(key=lambda stretch: -stretch.noise / max(1, costs.together(stretch.layers)))
    chosen, after = _fewest(static, judge, enough_db, costs, stretches)
    if after < before + MIN_GAIN_DB:
        return []
    static.spared.float_nodes |= _reasons(chosen)
    worst = max(chosen, key=lambda stretch: stretch.noise)
    names = [name for stretch in chosen for name in stretch.layers]
    cause = f"{len(names)} of {len(layers)} layers cost the outputs most ({worst.words})"
    remedy = f"left in float, {costs.share(names):.1%} of the {costs.unit}"
    return [Repair("layers", worst.layers[0], cause, remedy, before, after)]


def _stretches(static: Static, judge: Judge, layers: Sequence[str]) -> list[Stretch]:
    """Take the layers apart, finer where there is more noise."""

    def measured(names: Sequence[str]) -> Stretch:
        alone = judge.snr_db(static, all_but(layers, set(names)), MAX_SINGLE_LAYER_SAMPLES)
        return Stretch(tuple(names), 10 ** (-alone / 10))

    size = ceil(len(layers) / FIRST_STRETCHES)
    stretches = [measured(layers[start : start + size]) for start in range(0, len(layers), size)]
    for _ in range(MAX_HALVED):
        noisiest = max((s for s in stretches if len(s.layers) > 1), key=lambda s: s.noise, default=None)
        if noisiest is None:
            break
        stretches.remove(noisiest)
        half = len(noisiest.layers) // 2
        stretches += [measured(noisiest.layers[:half]), measured(noisiest.layers[half:])]
    return stretches


def _fewest(
    static: Static, judge: Judge, enough_db: float, costs: Costs, stretches: Sequence[Stretch]
) -> tuple[list[Stretch], float]:
    """Take them in order until that is enough, and put back what is not needed; where it never is enough, as many as
    come within `MIN_GAIN_DB` of the best."""
    tried: list[tuple[list[Stretch], float]] = []
    taken: list[Stretch] = []
    for stretch in stretches:
        names = [name for each in (*taken, stretch) for name in each.layers]
        if costs.share(names) <= MAX_SHARE and static.quantizable(dict.fromkeys(names, "")):
            taken = [*taken, stretch]
            tried.append((taken, judge.snr_db(static, _reasons(taken))))
            if tried[-1][1] >= enough_db:
                break
    if not tried:
        return [], -1e9
    best = max(reached for _, reached in tried)
    floor = enough_db if best >= enough_db else best - MIN_GAIN_DB
    chosen, after = next((taken, reached) for taken, reached in tried if reached >= floor)
    for stretch in sorted(chosen, key=lambda stretch: -costs.share(stretch.layers)):
        fewer = [each for each in chosen if each is not stretch]
        without = judge.snr_db(static, _reasons(fewer)) if fewer else floor - 1
        if without >= floor:
            chosen, after = fewer, without
    return chosen, after


def _reasons(stretches: Iterable[Stretch]) -> dict[str, str]:
    return {
        name: f"sensitive: {stretch.words} at the outputs" for stretch in stretches for name in stretch.layers
    }
