"""`make bench-runtimes`: the same int8 job for each runtime that is measured here, and the peers' files, all on both.

    python -m benchmarks.runtimes [NAME …]

The models are those of `bench-peers`. All files run on both runtimes in turns, one thread, batch 1; the speed is that
over ONNX Runtime's float model, and the quality that on the runtime, beside the float model in ONNX Runtime. Asked:

    own         the file chosen for a runtime is not slower there than the one chosen for the other
    undominated no peer's file is both faster there (intervals apart) and better
    as NNCF     convolutional networks in OpenVINO are not slower than NNCF's
    depthwise   one file of ours at 0.3 of the bytes or less is not slower than the faster of both floats
"""

import sys
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.peers.candidates import ROOT, Candidate, Failed, candidates
from benchmarks.peers.cases import IMAGES, MINILM, TRANSFORMERS, Case, cases
from benchmarks.peers.quality import better, judged
from benchmarks.peers.rules import Finding, Measured, faster
from benchmarks.peers.timing import timed
from benchmarks.shared_data import shared_or_exit
from winnow.contract.errors import Refusal
from winnow.contract.target import Target
from worker.compression.measure.network import Network
from worker.compression.onnx_files.sizes import bytes_of

RUNTIMES: Final[tuple[Target, ...]] = ("onnxruntime-cpu", "openvino-cpu")
OURS: Final[dict[str, dict[str, Any]]] = {
    f"int8 for {target}": {"kind": "int8", "target": target} for target in RUNTIMES
}
NNCF: Final = "nncf default"
PEERS: Final = (("nncf", "default"), ("onnxruntime", "u8s8"), ("onnxsim", "auto"))
DEPTHWISE: Final = ("dscnn-kws.onnx", "yolox_nano.onnx", "ultraface-rfb-320.onnx")
MOST_BYTES: Final = 0.3
FLOAT: Final = "float"
BATCH: Final = 1

Run = tuple[str, Target]
"""A file by its name, and the runtime that it ran on."""


def main() -> None:
    shared_or_exit()
    table = Table(title="One int8 job for each runtime, 1 thread, batch 1; speed over ONNX Runtime's float")
    for column in (
        "model",
        "file",
        "size",
        *(f"{what} in {on}" for on in RUNTIMES for what in ("speed", "quality")),
    ):
        table.add_column(column, overflow="fold")
    told = list[tuple[str, Finding]]()
    folder = ROOT / "var" / "runtimes"
    for case in cases(sys.argv[1:] or [*IMAGES, MINILM], folder):
        runs, failed = _measured(case, folder / "made" / Path(case.name).stem)
        for row in (*_rows(case, runs), *failed):
            table.add_row(case.name, *row)
            print(" | ".join((case.name, *row)), flush=True)
        for finding in _findings(case, runs):
            told.append((case.name, finding))
            print(f"{case.name}: {finding}", flush=True)
        table.add_section()
    Console(width=170).print(table)
    for name, finding in told:
        print(f"{name}: {finding}")
    sys.exit(not all(finding.met for _, finding in told))


def _measured(case: Case, folder: Path) -> tuple[dict[Run, Measured], list[list[str]]]:
    """What ran where, the float model in ONNX Runtime first, and rows of what did not."""
    folder.mkdir(parents=True, exist_ok=True)
    made, failed = [Candidate(FLOAT, True, case.model, 0, 0)], list[list[str]]()
    for one in candidates(case, folder, OURS, PEERS):
        if isinstance(one, Candidate):
            made.append(one)
        else:
            failed.append([one.name, _why(one), *[""] * (2 * len(RUNTIMES))])
    networks = dict[Run, tuple[Candidate, Network]]()
    for one, target in product(made, RUNTIMES):
        try:
            network = Network(one.path, 1, one.name, target=target)
            networks[one.name.removesuffix(" (normal form)"), target] = one, network
        except Refusal as refusal:
            failed.append([one.name, f"not in {target}: {refusal.problem.detail[:200]}", *[""] * 4])
    opened = [network for _, network in networks.values()]
    batch = case.judged.fixed_batch or BATCH
    times, qualities = timed(opened, case.judged, batch), judged(opened[0], opened, case.judged)
    return {
        run: Measured(one, {BATCH: rounds}, quality)
        for (run, (one, _)), rounds, quality in zip(networks.items(), times, qualities, strict=True)
    }, failed


def _why(one: Failed) -> str:
    return f"failed: {one.why}"


def _rows(case: Case, runs: Mapping[Run, Measured]) -> Iterator[list[str]]:
    floats, before = runs[FLOAT, RUNTIMES[0]], bytes_of(case.model)
    for name in dict.fromkeys(name for name, _ in runs):
        of_name = [runs.get((name, target)) for target in RUNTIMES]
        size = next(bytes_of(run.candidate.path) for run in of_name if run is not None)
        yield [name, f"{size / before:.3f}", *(cell for run in of_name for cell in _cells(run, floats))]


def _cells(run: Measured | None, floats: Measured) -> tuple[str, str]:
    if run is None:
        return "does not run", ""
    ratio, low, high = faster(run, floats, BATCH)
    quality = run.quality
    unit = f"% ({quality.snr_db:.1f} dB)" if quality.in_points else "dB"
    return f"{ratio:.2f} [{low:.2f}, {high:.2f}]", f"{quality.value:.2f} {unit}"


def _findings(case: Case, runs: Mapping[Run, Measured]) -> Iterator[Finding]:
    for target, other in (RUNTIMES, RUNTIMES[::-1]):
        own, foreign = (runs[f"int8 for {of}", target] for of in (target, other))
        ratio, low, high = faster(foreign, own, BATCH)
        yield Finding(
            f"{target}: own file not slower than that for {other}",
            f"the other {ratio:.3f}× as fast ({low:.3f}-{high:.3f})",
            low <= 1,
            ratio > 1,
        )
        peers = [run for (_, on), run in runs.items() if on == target and not run.candidate.ours]
        yield _undominated(own, peers, target)
    nncf = runs.get((NNCF, "openvino-cpu"))
    if case.name not in TRANSFORMERS and nncf is not None:
        ratio, low, high = faster(runs["int8 for openvino-cpu", "openvino-cpu"], nncf, BATCH)
        yield Finding(
            "as fast as NNCF's in OpenVINO", f"{ratio:.3f}× ({low:.3f}-{high:.3f})", high >= 1, ratio < 1
        )
    if case.name in DEPTHWISE:
        yield _small_and_fast(case, runs)


def _undominated(own: Measured, peers: list[Measured], target: Target) -> Finding:
    told = []
    for peer in peers:
        (ratio, low, _), (gain, _, _) = faster(peer, own, BATCH), better(peer.quality, own.quality)
        if low > 1 and gain > 0:
            told.append(f"{peer.candidate.name} {ratio:.3f}× as fast and {gain:+.2f} better")
    return Finding(f"{target}: no peer dominates", "; ".join(told) or "none does", not told)


def _small_and_fast(case: Case, runs: Mapping[Run, Measured]) -> Finding:
    """Each small file of ours where it is fastest, beside the float model where that is."""
    before = bytes_of(case.model)
    floats = min(
        (runs[FLOAT, target] for target in RUNTIMES), key=lambda run: float(sum(run.times[BATCH].ms))
    )
    told, met = list[str](), False
    for (name, target), run in runs.items():
        size = bytes_of(run.candidate.path) / before
        if name in OURS and size <= MOST_BYTES:
            ratio, low, high = faster(run, floats, BATCH)
            told.append(f"{name} in {target} {ratio:.3f}× ({low:.3f}-{high:.3f}) at {size:.3f} of the bytes")
            met |= high >= 1
    return Finding(
        "depthwise: small and not slower than either float", "; ".join(told) or "no file is small", met
    )


if __name__ == "__main__":
    main()
