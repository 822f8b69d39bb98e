"""Leaves the most sensitive layers in float until what is required holds: `exclude: "auto"`.

The layers are ranked once, each by what quantizing it alone costs,

    n_l / max(MACs_l, bytes_l)     n_l its noise at the outputs, over what 8 bits save of it

then the worst are left out, one by one at first, then twice as many each time, and everything is measured again after
each; of the last ones only as many as it takes. What turns out not to be needed goes back to integers. No layer is left
out when all of them together meet it; then the ranking is only told, as far as it comes in `MAX_REPORT_SECONDS`. The
aim is `MARGIN_DB` more than what is required, where that can be reached: choices look best on the samples they are made
by.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.acceptance import Acceptance, with_margin
from worker.compression.quantization.search.output_error import OutputComparer, OutputQuality
from worker.compression.quantization.search.sensitivity import (
    MAX_REPORT_SECONDS,
    Gain,
    Sensitivity,
    rank_by_sensitivity,
)

MAX_SINGLE_EXCLUSIONS = 8
"""Layers left out singly, before it goes by twice as many."""
LEAST_SHARE: Final = 0.001
"""Of what all layers cost: cheaper ones are not worth a try to take them back."""


@dataclass(frozen=True)
class Exclusion:
    """`reasons` says why each excluded layer stays float; `quality` is the result without them, `met` whether it
    suffices. `taken_back` were excluded in between."""

    reasons: dict[str, str]
    quality: OutputQuality
    met: bool
    ranked: list[Sensitivity] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    taken_back: list[str] = field(default_factory=list)

    def as_report(self) -> dict[str, Any]:
        """Make the fields of a report."""
        back = {"taken_back": self.taken_back} if self.taken_back else {}
        ranked = [layer.as_report() for layer in self.ranked]
        return {"sensitivity": ranked, "exclusions": self.steps, **back}


def exclude_sensitive(
    static: Static,
    output_error: OutputComparer,
    accepts: Acceptance,
    gains: Callable[[], dict[str, Gain]],
    costs: Callable[[], Mapping[str, int]],
    report_progress: Callable[[float], None],
) -> Exclusion:
    """Exclude the cheapest of the worst layers; `costs` counts their multiply-accumulates, by name. At least one layer
    stays quantized, whether that suffices or not."""
    suffices = with_margin(accepts)
    quality = output_error(static.quantized())
    if suffices(quality):
        ranking = rank_by_sensitivity(static, output_error, gains(), report_progress, MAX_REPORT_SECONDS)
        return Exclusion({}, quality, True, ranking)
    ranking = rank_by_sensitivity(static, output_error, gains(), report_progress)
    macs = costs()
    reasons: dict[str, str] = {}
    steps: list[dict[str, Any]] = []
    just_met = Exclusion({}, quality, True, ranking) if accepts(quality) else None
    for group in _groups(_dispensable(static, by_price(ranking, macs))):
        before, quality = quality, _without(static, output_error, reasons, group)
        if suffices(quality):
            group, quality = _shortest(static, output_error, suffices, reasons, group, quality)
        reasons |= _reasons(group)
        steps.append(_step_report(group, before, quality))
        if suffices(quality):
            fewer, quality = _fewest(static, output_error, suffices, reasons, quality, ranking, macs)
            back = [name for name in reasons if name not in fewer]
            return Exclusion(fewer, quality, True, ranking, steps, back)
        if just_met is None and accepts(quality):
            just_met = Exclusion({**reasons}, quality, True, ranking, [*steps])
    return just_met or Exclusion(reasons, quality, False, ranking, steps)


def by_price(ranking: Iterable[Sensitivity], macs: Mapping[str, int]) -> list[Sensitivity]:
    """List first what loses most for what its 8 bits save."""

    def price(layer: Sensitivity) -> float:
        noise: float = 10 ** (-layer.quality.snr_db / 10)
        return noise / max(1, _saved(layer, macs))

    return sorted(ranking, key=lambda layer: -price(layer))


def _saved(layer: Sensitivity, macs: Mapping[str, int]) -> int:
    """Multiply-accumulates, or bytes where these are more, as of a table."""
    return max(macs.get(layer.name, 0), layer.gain.bytes)


def _fewest(
    static: Static,
    output_error: OutputComparer,
    accepts: Acceptance,
    reasons: dict[str, str],
    quality: OutputQuality,
    ranking: Iterable[Sensitivity],
    macs: Mapping[str, int],
) -> tuple[dict[str, str], OutputQuality]:
    """Quantize again, the dearest first, what the others do without; with what that leaves."""
    saved = {layer.name: _saved(layer, macs) for layer in ranking}
    least = LEAST_SHARE * sum(saved.values())
    for name in sorted(reasons, key=lambda name: -saved[name]):
        fewer = {other: why for other, why in reasons.items() if other != name}
        if fewer and saved[name] >= least and accepts(tried := output_error(static.quantized(fewer))):
            reasons, quality = fewer, tried
    return reasons, quality


def _dispensable(static: Static, ranking: list[Sensitivity]) -> list[Sensitivity]:
    """As many of the worst as can be float while another layer is not: a table is int8 with all its readers or none."""
    worst = ranking[:-1]
    while not static.quantizable(_reasons(worst)):
        worst.pop()
    return worst


def _shortest(
    static: Static,
    output_error: OutputComparer,
    accepts: Acceptance,
    reasons: dict[str, str],
    group: list[Sensitivity],
    quality: OutputQuality,
) -> tuple[list[Sensitivity], OutputQuality]:
    """Find by halving the first layers of the group that suffice, and the quality without them."""
    low, high = 1, len(group)
    while low < high:
        middle = (low + high) // 2
        tried = _without(static, output_error, reasons, group[:middle])
        if accepts(tried):
            high, quality = middle, tried
        else:
            low = middle + 1
    return group[:high], quality


def _without(
    static: Static, output_error: OutputComparer, reasons: dict[str, str], group: list[Sensitivity]
) -> OutputQuality:
    return output_error(static.quantized(reasons | _reasons(group)))


def _reasons(group: list[Sensitivity]) -> dict[str, str]:
    return {
        layer.name: f"sensitive: quantized alone it leaves {layer.quality.snr_db:.1f} dB at the outputs"
        for layer in group
    }


def _groups(ranking: list[Sensitivity]) -> Iterator[list[Sensitivity]]:
    start, size = 0, 1
    while start < len(ranking):
        yield ranking[start : start + size]
        start += size
        size = 1 if start < MAX_SINGLE_EXCLUSIONS else 2 * size


def _step_report(group: list[Sensitivity], before: OutputQuality, after: OutputQuality) -> dict[str, Any]:
    """Report what leaving these out gave back, and cost: bytes, and the milliseconds that their kernels had saved."""
    saved = [layer.gain.milliseconds for layer in group]
    return {
        "layers": [layer.name for layer in group],
        "snr_db_before": round(before.snr_db, 2),
        "bytes_lost": sum(layer.gain.bytes for layer in group),
        "ms_lost": None if None in saved else round(sum(x for x in saved if x is not None), 4),
        **after.as_report(),
    }
