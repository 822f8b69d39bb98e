"""`make bench-simplify`: files by `simplify`, onnxslim and onnxsim: nodes, bytes, milliseconds, validity.

    python -m benchmarks.simplify [--alone] [--untimed] [--shared] [NAME …]

The files are those of ../shared, with `--shared` these alone, and 68 that torch exported; names choose among them by
their beginning. Speed is that of one thread, in turns with the file as it came; with `--untimed` nothing is timed.
Valid is what onnx's checker and ONNX Runtime take and whose outputs, computed without ONNX Runtime's optimizers, stay
within 1e-5 of their largest magnitude. Peers get environments of their own (`peers/environments.py`); `--alone` leaves
them out.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.shared_data import shared_or_exit
from benchmarks.simplify.files import File, of_exporters, of_shared
from benchmarks.simplify.simplified import ORIGINAL, Simplified, simplified
from worker.compression.measure.timing.fastest import Timed

PEERS: Final = ("onnxslim", "onnxsim")
OPTIONS: Final = ("--alone", "--untimed", "--shared")
COLUMNS: Final = ("model", "by", "nodes", "constants", "bytes", "ms", "speed-up", "largest error", "valid")
ASKED_SHARE: Final = 2 / 3
"""Of the models on which there are at least as few nodes as by the better of the peers."""


def main() -> None:
    shared_or_exit()
    names = tuple(each for each in sys.argv[1:] if each not in OPTIONS)
    alone, untimed, shared = (option in sys.argv for option in OPTIONS)
    peers = () if alone else PEERS
    table = Table(*COLUMNS, title="simplify beside its peers, 1 thread, batch 1")
    done: dict[str, list[Simplified]] = {}
    with tempfile.TemporaryDirectory() as files:
        for file in _files(Path(files), shared=shared):
            if names and not file.name.startswith(names):
                continue
            with tempfile.TemporaryDirectory() as folder:
                done[file.name] = simplified(file, Path(folder), peers, times=not untimed)
            for each in done[file.name]:
                row = _row(file.name, each)
                table.add_row(*row)
                print(" | ".join(row), flush=True)
            table.add_section()
    Console(width=170).print(table)
    for sentence in _findings(done, peers, timed=not untimed):
        print(sentence)


def _files(folder: Path, *, shared: bool) -> Iterator[File]:
    return chain(of_shared(folder), () if shared else of_exporters(folder))


def _row(model: str, made: Simplified) -> list[str]:
    if made.path is None or made.counts is None:
        return [model, made.by, made.why, *[""] * (len(COLUMNS) - 3)]
    timed = made.timed
    speed = "" if timed is None or made.by == ORIGINAL else _speed(timed)
    return [
        model,
        made.by,
        str(made.counts.nodes),
        str(made.counts.constants),
        str(made.size),
        "" if timed is None else f"{timed.milliseconds:.3f}",
        speed,
        "the same bits" if made.error == 0 else f"{made.error:.1e}",
        "yes" if made.is_valid else f"no: {made.why or 'its outputs differ'}",
    ]


def _speed(timed: Timed) -> str:
    low, high = timed.interval
    return timed.untold or f"{timed.speedup:.3f} ({low:.3f}-{high:.3f})"


def _findings(done: dict[str, list[Simplified]], peers: Sequence[str], *, timed: bool) -> Iterator[str]:
    """What is asked, and whether it is met."""
    ours = {name: made[1] for name, made in done.items()}
    files = {name: made[0] for name, made in done.items()}
    yield _finding("valid", [name for name, made in ours.items() if not made.is_valid])
    larger = [name for name, made in ours.items() if made.size > files[name].size]
    yield _finding("no larger than the file", larger)
    if timed:
        slower = [name for name, made in ours.items() if _is_slower(made.timed)]
        yield _finding("not slower than the file, beyond the interval", slower)
    if peers:
        best = {name: min(each.nodes for each in made[2:]) for name, made in done.items()}
        fewer = [name for name, made in ours.items() if made.nodes <= best[name]]
        met = len(fewer) >= ASKED_SHARE * len(ours)
        yield (
            f"as few nodes as the better of the peers on {len(fewer)} of {len(ours)}, asked on two thirds: "
            f"{'met' if met else 'NOT met'}"
        )
    for peer in peers:
        invalid = [name for name, made in done.items() if not _of(made, peer).is_valid]
        yield f"not valid by {peer}: {', '.join(invalid) or 'none'}"


def _of(made: Sequence[Simplified], by: str) -> Simplified:
    return next(each for each in made if each.by == by)


def _is_slower(timed: Timed | None) -> bool:
    return timed is not None and not timed.untold and timed.interval[1] < 1


def _finding(what: str, but: list[str]) -> str:
    return f"{what}: {'met' if not but else 'NOT met by ' + ', '.join(but)}"


if __name__ == "__main__":
    main()
