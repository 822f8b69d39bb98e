"""Each quantity as two bars, with the intervals that are known."""

from collections.abc import Callable, Iterator

from winnow.contract import units
from winnow.contract.base import Interval
from winnow.contract.report import Latency, Pair, Quality
from worker.compression.result.page.blocks import Figure, Figures, Section
from worker.compression.result.page.charts.bars import before_and_after
from worker.compression.result.page.subject import Subject


def section(subject: Subject) -> Section:
    legend = [("before", "before"), ("after", "after")]
    return Section("before-after", "Before and after", [Figures(list(_figures(subject)), legend)])


def _figures(subject: Subject) -> Iterator[Figure]:
    report = subject.report
    yield _pair("Size of the file", report.size_bytes, units.size)
    yield from (_speed(entry) for entry in report.latency[:4])
    yield from (_quality(entry) for entry in report.quality)
    yield _pair("Download as zstd", report.compressed_bytes, units.size)
    optional: list[tuple[str, Pair | None, Callable[[float], str]]] = [
        ("Peak memory", report.peak_rss_bytes, units.size),
        ("Time to load", report.load_ms, units.milliseconds),
        ("Multiply-accumulates", report.macs, units.count),
    ]
    yield from (_pair(name, pair, show) for name, pair, show in optional if pair is not None)
    if report.energy is not None and report.energy.joules is not None:
        yield _pair("Energy of a run", report.energy.joules, lambda joules: f"{1000 * joules:.3g} mJ")
    yield _pair("Weights", report.parameters, units.count)
    if report.sparsity.before or report.sparsity.after:
        yield _pair("Weights that are zero", report.sparsity, lambda share: f"{share:.1%}")


def _pair(name: str, pair: Pair, show: Callable[[float], str]) -> Figure:
    ratio = "" if pair.ratio is None else units.times(pair.ratio)
    return Figure(before_and_after(name, pair.before, pair.after, show), name, ratio)


def _speed(entry: Latency) -> Figure:
    """The interval is that of the speed-up, as milliseconds beside the original's median."""
    name = f"Latency p50, batch {entry.batch_size}, threads {entry.threads}"
    before, after = entry.baseline_ms.p50, entry.candidate_ms.p50
    interval: Interval | None = None
    note = f"The speed-up is not told: {entry.untold}."
    if entry.speedup is not None and entry.speedup_interval is not None:
        low, high = entry.speedup_interval
        interval = (before / high, before / low)
        note = f"{units.times(entry.speedup, entry.speedup_interval)} as fast, over the undisturbed rounds"
    return Figure(before_and_after(name, before, after, units.milliseconds, (None, interval)), name, note)


def _quality(entry: Quality) -> Figure:
    def show(value: float) -> str:
        return units.metric(entry.metric, value)

    intervals = entry.before_interval, entry.after_interval
    if min(entry.before, entry.after, intervals[0][0], intervals[1][0]) < 0:
        drawing = before_and_after(entry.metric, max(0.0, entry.before), max(0.0, entry.after), show)
    else:
        drawing = before_and_after(entry.metric, entry.before, entry.after, show, intervals)
    change = units.change(entry.metric, entry.drop, entry.drop_interval)
    seen = "" if entry.held_out else ", some of them used for the compression"
    note = f"{change} on {units.count(entry.samples)} samples{seen}"
    return Figure(drawing, f"{entry.metric} of {entry.output}", note)
