"""What to do, why, and what to try next."""

import json
from typing import Any, Final

from winnow.contract import units
from winnow.contract.report import ADVICE, NextStep, Pair, Report
from winnow.contract.target import settings_of_target
from worker.compression.result.page.blocks import Block, Code, Listing, Paragraph, Section, Tile, Tiles, Tone
from worker.compression.result.page.subject import Subject

OUTCOMES: Final = {
    "accepted": "Everything that was required is met.",
    "unchecked": "Nothing was required.",
    "requirements_not_met": "Something that was required is not met.",
}


def section(subject: Subject) -> Section:
    report = subject.report
    verdict, outcome = report.verdict, report.outcome
    tone: Tone = "bad" if outcome == "requirements_not_met" else "good" if outcome == "accepted" else ""
    blocks: list[Block] = [
        Paragraph(
            verdict.because,
            "good" if verdict.recommend == "use_result" else "",
            f"{ADVICE[verdict.recommend]}.",
        ),
        Paragraph(OUTCOMES[outcome], tone),
        Tiles(list(_tiles(report))),
        Listing(verdict.summary),
    ]
    missed = [entry for entry in report.requirements if not entry.met]
    if missed:
        blocks.append(
            Listing(
                [
                    f"{entry.name}: {entry.why or 'not met'}"
                    + (f" Likeliest cause: {entry.cause.rstrip('.')}." if entry.cause else "")
                    for entry in missed
                ]
            )
        )
    blocks += [block for step in report.next_steps for block in _next(step)]
    if report.search is not None:
        blocks.append(Listing(report.search.sentences))
    return Section("verdict", "Verdict", blocks)


def _tiles(report: Report) -> list[Tile]:
    tiles = [_pair("Size", report.size_bytes, units.size)]
    if report.latency:
        speed = report.latency[0]
        value = "not told" if speed.speedup is None else f"{units.times(speed.speedup)} as fast"
        interval = speed.speedup_interval
        tone: Tone = ""
        if interval is not None:
            tone = "good" if interval[0] > 1 else "bad" if interval[1] < 1 else ""
        note = speed.untold or f"95 %: {interval[0]:.2f} to {interval[1]:.2f}" if interval else speed.untold
        tiles.append(Tile(f"Speed, batch {speed.batch_size}", value, note or "", tone))
    for quality in report.quality[:2]:
        worse = quality.drop > 0
        change = units.metric(quality.metric, abs(quality.drop))
        note = "no change" if not quality.drop else f"{'worse' if worse else 'better'} by {change}"
        tone = "bad" if quality.drop_interval[0] > 0 else "good" if quality.drop_interval[1] < 0 else ""
        tiles.append(Tile(quality.metric, units.metric(quality.metric, quality.after), note, tone))
    if report.peak_rss_bytes is not None:
        tiles.append(_pair("Memory", report.peak_rss_bytes, units.size))
    if report.macs is not None:
        tiles.append(_pair("Multiply-accumulates", report.macs, units.short_count))
    return tiles


def _pair(name: str, pair: Pair, show: Any) -> Tile:
    tone: Tone = "good" if pair.after < pair.before else "bad" if pair.after > pair.before else ""
    return Tile(name, show(pair.after), f"{units.times(pair.ratio)} of {show(pair.before)}", tone)


def _next(step: NextStep) -> list[Block]:
    recipe = step.request.get("recipe", step.request)
    shown = {"recipe": recipe, **target} if (target := settings_of_target(step.request)) else recipe
    return [Paragraph(f"Worth trying: {step.why}"), Code(json.dumps(shown, indent=2, ensure_ascii=False))]
