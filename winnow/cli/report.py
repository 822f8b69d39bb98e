"""The report as tables: before and after, requirements, steps and their training, and the verdict in words."""

import shlex
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from rich.console import Group, RenderableType

from winnow.cli.naming import in_options
from winnow.cli.screen import Column, clean, table
from winnow.cli.settings import step_in_words
from winnow.cli.training import training_table
from winnow.contract import units
from winnow.contract.generation_words import in_words
from winnow.contract.portability import Portability
from winnow.contract.report import (
    ADVICE,
    Latency,
    PackageReport,
    Pair,
    Parity,
    Quality,
    Report,
    RequirementResult,
    StepReport,
)
from winnow.contract.robustness import sentences
from winnow.contract.target import settings_of_target

Row = tuple[str, str, str, str]
SHOWN_REASONS: Final = 5
"""Why a target does not take nodes."""


def report_tables(report: Report) -> Group:
    parts: list[RenderableType] = [
        table(
            None, [("", "left"), ("before", "right"), ("after", "right"), ("change", "right")], _rows(report)
        )
    ]
    if report.package is not None:
        parts.append(_graphs(report.package))
        if report.package.generation is not None:
            parts.append(in_words(report.package.generation))
    if report.parity:
        parts.append(_parity(report.parity))
    if report.requirements:
        parts.append(_requirements(report.requirements))
    parts.append(_steps(report.steps))
    parts += [training_table(step) for step in report.steps if "epochs" in step.details]
    kinds = [step.kind for step in report.steps]
    parts += [clean(in_options(sentence, kinds)) for sentence in _sentences(report)]
    return Group(*parts)


def _rows(report: Report) -> Iterator[Row]:
    yield _pair("size", report.size_bytes, units.size)
    yield _pair("download as zstd", report.compressed_bytes, units.size)
    for latency in report.latency:
        yield from _speed(latency)
    if report.load_ms is not None:
        yield _pair("load time", report.load_ms, units.milliseconds)
    if report.peak_rss_bytes is not None:
        yield _pair("peak memory", report.peak_rss_bytes, units.size)
    yield _pair("parameters", report.parameters, units.count)
    if report.macs is not None:
        yield _pair("multiply-accumulates", report.macs, units.count)
    if report.sparsity.before or report.sparsity.after:
        yield ("zeros", f"{report.sparsity.before:.1%}", f"{report.sparsity.after:.1%}", "")
    for quality in report.quality:
        yield _quality(quality)


def _pair(name: str, pair: Pair, show: Callable[[float], str]) -> Row:
    return (name, show(pair.before), show(pair.after), units.times(pair.ratio))


def _speed(run: Latency) -> Iterator[Row]:
    threads = "1 thread" if run.threads == 1 else f"{run.threads} threads"
    where = f"batch {run.batch_size}, {threads}"
    before, after = run.baseline_ms, run.candidate_ms
    if run.untold is not None:
        yield (f"latency ({where})", "-", "-", "not told")
        return
    yield (
        f"latency p50 ({where})",
        units.milliseconds(before.p50),
        units.milliseconds(after.p50),
        f"{units.times(run.speedup, run.speedup_interval)} as fast",
    )
    yield (f"latency p95 ({where})", units.milliseconds(before.p95), units.milliseconds(after.p95), "")
    yield (
        f"throughput ({where})",
        units.rate(run.baseline_throughput),
        units.rate(run.candidate_throughput),
        "",
    )


def _quality(quality: Quality) -> Row:
    held_out = "" if quality.held_out else ", not held out"
    return (
        f"{quality.metric} ({units.count(quality.samples)} samples{held_out})",
        units.metric(quality.metric, quality.before, quality.before_interval),
        units.metric(quality.metric, quality.after, quality.after_interval),
        units.change(quality.metric, quality.drop, quality.drop_interval),
    )


def _parity(entries: list[Parity]) -> RenderableType:
    names = ("cosine", "SNR", "max error", "same top-1")
    rows = [
        (
            f"{entry.output} ({units.count(entry.samples)} of {entry.data})",
            "-" if entry.cosine is None else f"{entry.cosine:.5f}",
            "-" if entry.snr_db is None else f"{entry.snr_db:.1f} dB",
            "-" if entry.max_error is None else units.number(entry.max_error),
            "-" if entry.top1_agreement is None else f"{entry.top1_agreement:.2%}",
        )
        for entry in entries
    ]
    return table("Outputs, after against before", [("output", "left"), *((n, "right") for n in names)], rows)


def _graphs(package: PackageReport) -> RenderableType:
    columns: list[Column] = [("graph", "left"), ("before", "right"), ("after", "right"), ("speed", "right")]
    rows = [
        (
            graph.name,
            units.size(graph.size_bytes.before),
            units.size(graph.size_bytes.after),
            _speed_of(graph.latency),
        )
        for graph in package.graphs
    ]
    return table("Graphs, each with the weights that it shares", columns, rows)


def _speed_of(runs: list[Latency]) -> str:
    if not runs:
        return "-"
    first = runs[0]
    return "not told" if first.untold is not None else units.times(first.speedup, first.speedup_interval)


def _requirements(results: list[RequirementResult]) -> RenderableType:
    columns: list[Column] = [
        ("requirement", "left"),
        ("asked", "right"),
        ("measured", "right"),
        ("met", "left"),
    ]
    rows = [
        (
            result.name,
            *units.asked_and_measured(result.name, result.asked, result.measured, result.interval),
            "yes" if result.met else "NO",
        )
        for result in results
    ]
    return table("Requirements", columns, rows)


def _steps(steps: list[StepReport]) -> RenderableType:
    columns: list[Column] = [
        ("step", "left"),
        ("nodes changed", "right"),
        ("size after it", "right"),
        ("took", "right"),
    ]
    rows = [
        (
            f"{step.index + 1} {step.kind}",
            f"{step.changed} of {step.candidates}",
            units.size(step.size_bytes),
            f"{step.seconds:.1f} s",
        )
        for step in steps
    ]
    return table("Steps", columns, rows)


def _sentences(report: Report) -> Iterator[str]:
    yield from report.verdict.summary
    fidelity = report.fidelity
    if fidelity is not None and fidelity.mean is not None:
        yield (
            f"What both look at: rank correlation {fidelity.mean:.3f} over what {fidelity.parts} parts of "
            f"{fidelity.input} add, on {fidelity.samples} samples."
        )
    if report.energy is not None and report.energy.joules is not None:
        spent = report.energy.joules
        yield f"Energy of a run: {1000 * spent.before:.3g} mJ before, {1000 * spent.after:.3g} mJ after."
    if report.target is not None:
        for reason in islice(report.target.after.reasons, SHOWN_REASONS):
            yield f"On {report.target.target}, {reason}"
    if report.robustness is not None:
        yield from (f"{about}: {says}" for about, says in sentences(report.robustness))
    if report.arithmetic is not None:
        yield f"Arithmetic: {report.arithmetic.says}"
    if report.portability:
        yield f"Loads elsewhere: {'; '.join(map(_portability, report.portability))}."
    yield f"{ADVICE[report.verdict.recommend]}: {report.verdict.because}"
    for result in report.requirements:
        if not result.met:
            cause = "" if result.cause is None else f" Likeliest cause: {result.cause}"
            yield f"Not met, {result.name}: {result.why}{cause}"
    for suggestion in report.next_steps:
        steps = [step_in_words(step) for step in suggestion.request.get("recipe", {}).get("steps", [])]
        options = [f"--step {shlex.quote(text)}" for text in steps]
        options += [f"--{name} {value}" for name, value in settings_of_target(suggestion.request).items()]
        yield f"Worth trying: {' '.join(options)}  {suggestion.why}"
    for step in report.steps:
        yield from (f"Note, {step.kind}: {note}" for note in step.notes)
    yield from (f"Note: {note}" for note in report.notes)


def _portability(entry: Portability) -> str:
    if entry.loads is None:
        return f"{entry.runtime} not tried"
    if entry.loads:
        return f"{entry.runtime} {'in part' if entry.operators else 'yes'}"
    because = ", ".join(entry.operators) or entry.why
    return f"{entry.runtime} no ({because})"
