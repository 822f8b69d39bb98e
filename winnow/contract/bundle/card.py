"""The model card of a result, in Markdown with the metadata that Hugging Face reads."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final

from winnow.contract.bundle.front_matter import front_matter
from winnow.contract.bundle.recipe_file import chooses_by_time, closed_recipe
from winnow.contract.bundle.result import FinishedJob
from winnow.contract.bundle.running import graphs_lines, ways_to_run, zeros
from winnow.contract.report import ADVICE, Latency, Pair, Quality, Report
from winnow.contract.units import asked_and_measured

MARKUP: Final = re.compile(r"([\\`*\[\]<>|#~])")


def model_card(done: FinishedJob) -> str:
    """Tell what the model is, what it was made of and how, what was measured, and how it is run."""
    report = done.report
    sections = [
        front_matter(done),
        f"# {plain(done.name)}",
        f"{plain(done.model_name)}, compressed by Winnow {plain(report.winnow)}. "
        f"{ADVICE[report.verdict.recommend]}: {plain(report.verdict.because)}",
        _list(map(plain, report.verdict.summary)),
        "## Measured",
        _table(["", "before", "after", "after / before"], _costs(report)),
        *_quality(report.quality),
        *_requirements(report),
        "## How it was made",
        *_made(done),
        "## How to run it",
        *_snippets(done),
        "## What it rests on",
        _list(_provenance(done)),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def plain(text: object) -> str:
    """A text of others in one line, without any markup of its own."""
    return MARKUP.sub(r"\\\1", " ".join(str(text).split()))


def _costs(report: Report) -> Iterator[list[str]]:
    yield ["size, bytes", *_pair(report.size_bytes)]
    yield ["size as zstd, bytes", *_pair(report.compressed_bytes)]
    for entry in report.latency:
        yield _latency(entry)
    for name, pair in (
        ("load time, ms", report.load_ms),
        ("peak memory, bytes", report.peak_rss_bytes),
        ("parameters", report.parameters),
        ("multiply-accumulates per sample", report.macs),
    ):
        if pair is not None:
            yield [name, *_pair(pair)]


def _pair(pair: Pair) -> list[str]:
    def shown(value: float) -> str:
        return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"

    return [shown(pair.before), shown(pair.after), "" if pair.ratio is None else f"{pair.ratio:.3f}"]


def _latency(entry: Latency) -> list[str]:
    name = f"median latency, ms (batch {entry.batch_size}, threads {entry.threads}, {entry.provider})"
    if entry.speedup is None or entry.speedup_interval is None:
        return [plain(name), "", "", plain(entry.untold or "not told")]
    low, high = entry.speedup_interval
    times = f"{entry.speedup:.2f} times as fast (95 %: {low:.2f} to {high:.2f})"
    return [plain(name), f"{entry.baseline_ms.p50:.4g}", f"{entry.candidate_ms.p50:.4g}", times]


def _quality(qualities: list[Quality]) -> Iterator[str]:
    if not qualities:
        return
    columns = ["metric", "samples", "before", "after", "worse by", "95 % of that"]
    rows = (
        [
            plain(entry.metric),
            f"{entry.samples:,}{'' if entry.held_out else ' (not held out)'}",
            f"{entry.before:.4f}",
            f"{entry.after:.4f}",
            f"{entry.drop:.4f}",
            f"{entry.drop_interval[0]:.4f} to {entry.drop_interval[1]:.4f}",
        ]
        for entry in qualities
    )
    yield _table(columns, rows)


def _requirements(report: Report) -> Iterator[str]:
    if not report.requirements:
        return
    yield "What was required:"
    rows = (
        [
            plain(entry.name),
            *asked_and_measured(entry.name, entry.asked, entry.measured),
            "yes" if entry.met else f"no: {plain(entry.why or '')}",
        ]
        for entry in report.requirements
    )
    yield _table(["requirement", "asked", "measured", "met"], rows)


def _made(done: FinishedJob) -> Iterator[str]:
    recipe = closed_recipe(done)
    if recipe is None:
        yield "It is the upload, tidied: nothing that was tried was better."
        return
    yield _code("json", json.dumps(recipe.model_dump(mode="json", exclude_defaults=True), indent=2))
    timed = [step.kind for step in recipe.steps if chooses_by_time(step)]
    same = f"With seed {done.request.seed} and the same data, model, kind of CPU and threads"
    again = f"{same} this gives the same graph again"
    yield f"{again}, unless {', '.join(timed)} chooses otherwise, by time." if timed else f"{again}."


def _snippets(done: FinishedJob) -> Iterator[str]:
    if (package := done.report.package) is not None:
        yield "Of the artifact unpacked; each graph finds the weights that it shares beside it:"
        yield _code("python", graphs_lines({graph.name: graph.file for graph in package.graphs}))
        return
    latency = done.report.latency
    feed = (
        zeros(done.inputs, latency[0].shapes if latency else {})
        if done.inputs
        else "{}  # the inputs by name"
    )
    for title, lines in ways_to_run(feed, latency):
        yield f"{title}:"
        yield _code("python", lines)


def _provenance(done: FinishedJob) -> Iterator[str]:
    report = done.report
    yield f"Artifact: SHA-256 `{report.artifact_sha256}`, its graph `{report.graph_sha256}`"
    yield f"Original, {plain(done.model_name)}: SHA-256 `{report.source_sha256}`"
    for id, roles in done.datasets():
        named = done.upload(id)
        what = "deleted since" if named is None else f"{plain(named.name)}, SHA-256 `{named.sha256}`"
        yield f"Data for {', '.join(roles)}: {what}"
    environment = report.environment
    yield f"Measured on {plain(environment.cpu)}, {environment.cores} cores, {plain(environment.platform)}"
    yield f"With {', '.join(f'{plain(name)} {plain(version)}' for name, version in environment.versions.items())}"
    yield from map(plain, report.notes)


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)


def _table(columns: list[str], rows: Iterable[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _code(language: str, text: str) -> str:
    """Fenced by more backticks than stand in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"
