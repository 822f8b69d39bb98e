"""Prints the table."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.collapse.cases import cases
from benchmarks.peers.candidates import ROOT, Candidate, Failed, candidates
from benchmarks.peers.cases import Case
from benchmarks.peers.quality import Quality, judged
from benchmarks.peers.rules import Measured, faster
from benchmarks.peers.timing import timed
from benchmarks.shared_data import shared_or_exit
from worker.compression.measure.network import Network
from worker.compression.onnx_files.sizes import bytes_of

OURS: Final = "int8"
USUAL: Final = ("onnxruntime bare", "onnxruntime partial")
PEERS: Final = (("onnxruntime", "bare"), ("onnxruntime", "partial"), ("nncf", "default"), ("onnxsim", "auto"))
MOST_LOST, LEAST_DB = 5.0, 10.0
"""What collapses: points of top-1 or of the precision of boxes, or dB without labels."""
OURS_LOST, OURS_DB = 1.0, 20.0
FEWEST: Final = 12


def main() -> None:
    shared_or_exit()
    table = Table(
        title="What collapses in 8 bits; 1 thread, batch 1, speed and size are those of the float model's"
    )
    for column in ("model", "by", "size", "speed", "quality", "collapsed"):
        table.add_column(column, overflow="fold")
    fallen, told = list[str](), list[str]()
    folder = ROOT / "var" / "collapse"
    for case in cases(sys.argv[1:], folder):
        rows, measured = _one(case, folder / "made" / Path(case.name.replace(", ", "-")).stem)
        for row in rows:
            table.add_row(case.name, *row)
            print(" | ".join((case.name, *row)), flush=True)
        table.add_section()
        floats = measured["float"]
        if any(name not in measured or _collapsed(measured[name], floats) for name in USUAL):
            fallen.append(case.name)
            told += _unmet(case.name, floats, measured.get(OURS))
    Console(width=150).print(table)
    print(f"collapsed under (a) or (b): {len(fallen)} ({', '.join(fallen)}); at least {FEWEST} are asked for")
    print(
        "ours loses at most 1 point (20 dB) and is not slower than float: "
        + ("; ".join(told) or "met on all")
    )
    sys.exit(bool(told) or len(fallen) < FEWEST)


def _one(case: Case, folder: Path) -> tuple[list[list[str]], dict[str, Measured]]:
    """The rows of the table, and what was measured of each that runs, `float` among them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = list(candidates(case, folder, {OURS: {"kind": "int8"}}, PEERS))
    able = [
        Candidate("float", True, case.model, 0, 0),
        *(each for each in made if isinstance(each, Candidate)),
    ]
    networks = [Network(each.path, 1, each.name) for each in able]
    batch = case.judged.fixed_batch or 1
    times = timed(networks, case.judged, batch)
    qualities = judged(networks[0], networks, case.judged, case.detector)
    measured = {
        each.name.removesuffix(" (normal form)"): Measured(each, {batch: times[at]}, quality)
        for at, (each, quality) in enumerate(zip(able, qualities, strict=True))
    }
    return [
        *_rows(case, measured),
        *([each.name, each.why, "", "", ""] for each in made if isinstance(each, Failed)),
    ], measured


def _rows(case: Case, measured: dict[str, Measured]) -> Iterator[list[str]]:
    floats, before = measured["float"], bytes_of(case.model)
    for one in measured.values():
        ratio, low, high = faster(one, floats, next(iter(one.times)))
        yield [
            one.candidate.name,
            f"{bytes_of(one.candidate.path) / before:.3f}",
            f"{ratio:.2f} [{low:.2f}, {high:.2f}]",
            _worded(one.quality),
            "yes" if one is not floats and _collapsed(one, floats) else "",
        ]


def _worded(quality: Quality) -> str:
    decibels = f"{quality.snr_db:.1f} dB"
    return f"{quality.value:.2f} % ({decibels})" if quality.in_points else decibels


def _collapsed(one: Measured, floats: Measured) -> bool:
    return _lost(one, floats) > MOST_LOST or (not one.quality.labelled and one.quality.snr_db < LEAST_DB)


def _lost(one: Measured, floats: Measured) -> float:
    """Points; 0 where quality is in decibels."""
    return floats.quality.value - one.quality.value if one.quality.in_points else 0.0


def _unmet(name: str, floats: Measured, ours: Measured | None) -> Iterator[str]:
    """What is not as asked; a speed counts as slower where its whole interval is."""
    if ours is None:
        yield f"{name}: failed"
        return
    quality, lost = ours.quality, _lost(ours, floats)
    if lost > OURS_LOST if quality.labelled else quality.snr_db < OURS_DB:
        yield f"{name}: {_worded(quality)}" + (f", {lost:.2f} points lost" if quality.labelled else "")
    ratio, low, high = faster(ours, floats, next(iter(ours.times)))
    if high < 1:
        yield f"{name}: {ratio:.2f}× [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
