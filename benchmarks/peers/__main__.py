"""`make bench-peers`: ours and the peers' int8 of the shared models and MiniLM, side by side on this machine.

One table, then what is asked and whether it is met. `python -m benchmarks.peers minilm dscnn-kws.onnx` runs only
these models. Peers are installed into environments of their own on first use; the files and logs of all candidates
stay in var/peers.
"""

import sys
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.peers.candidates import ROOT, Candidate, candidates
from benchmarks.peers.cases import IMAGES, MINILM, Case, cases
from benchmarks.peers.quality import judged
from benchmarks.peers.rules import Finding, Measured, faster, findings
from benchmarks.peers.saying import says_so
from benchmarks.peers.timing import timed
from benchmarks.shared_data import shared_or_exit
from worker.compression.measure.network import Network
from worker.compression.onnx_files.sizes import bytes_of

BATCHES: Final = (1, 8)
COLUMNS: Final = ("model", "by", "size", "ms at 1", "ms at 8", "speed", "quality", "cosine", "work s", "MiB")
WIDTH = 170


def main() -> None:
    shared_or_exit()
    table = Table(title="int8 beside its peers, 1 thread; speed is that at batch 1 over the float model's")
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    told: list[tuple[str, Finding]] = []
    folder = ROOT / "var" / "peers"
    for case in cases(sys.argv[1:] or [*IMAGES, MINILM], folder):
        rows, found = _one(case, folder / Path(case.name).stem)
        for row in rows:
            table.add_row(*row)
            print(" | ".join(row), flush=True)
        for finding in found:
            told.append((case.name, finding))
            print(f"{case.name}: {finding}", flush=True)
        table.add_section()
    Console(width=WIDTH).print(table)
    for name, finding in told:
        print(f"{name}: {finding}")


def _one(case: Case, folder: Path) -> tuple[list[list[str]], list[Finding]]:
    made, rows, networks = [], [], []
    for one in candidates(case, folder):
        print(f"{case.name}: {one.name}: {one.told}", flush=True)
        if isinstance(one, Candidate):
            networks.append(Network(one.path, 1, one.name))
            made.append(one)
        else:
            rows.append([case.name, one.name, f"failed: {one.why}", *[""] * (len(COLUMNS) - 3)])
    original = Network(case.model, 1, "the float model")
    batches = BATCHES if case.judged.fixed_batch is None else (case.judged.fixed_batch,)
    times = {batch: timed([original, *networks], case.judged, batch) for batch in batches}
    qualities = judged(original, [original, *networks], case.judged)
    floats = Measured(
        Candidate("float", True, case.model, 0, 0), {b: t[0] for b, t in times.items()}, qualities[0]
    )
    measured = [
        Measured(one, {b: t[at] for b, t in times.items()}, quality)
        for at, (one, quality) in enumerate(zip(made, qualities[1:], strict=True), 1)
    ]
    found = [*findings(floats.times, measured), *says_so(case, floats, measured)]
    return [*(_row(case, one, floats) for one in [floats, *measured]), *rows], found


def _row(case: Case, one: Measured, floats: Measured) -> list[str]:
    candidate, quality = one.candidate, one.quality
    unit = "dB" if quality.right is None else f"% ({quality.snr_db:.1f} dB)"
    size, before = bytes_of(candidate.path), bytes_of(case.model)
    ratio, low, high = faster(one, floats, next(iter(one.times)))
    return [
        case.name,
        candidate.name,
        f"{size / before:.3f}×",
        *(f"{np.median(one.times[b].ms):.3f}" if b in one.times else "fixed batch" for b in BATCHES),
        f"{ratio:.2f} ({low:.2f}-{high:.2f})",
        f"{quality.value:.2f} {unit}",
        f"{quality.cosine:.5f}",
        f"{candidate.seconds:.1f}",
        f"{candidate.memory_bytes / 2**20:.0f}",
    ]


if __name__ == "__main__":
    main()
