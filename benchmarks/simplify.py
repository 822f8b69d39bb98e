"""`make bench-simplify`: models of ../shared by `simplify`, onnxslim and onnxsim: nodes, bytes, milliseconds, validity.

    python -m benchmarks.simplify [--alone] [MODEL.onnx …]

Speed is that of one thread, in turns with the file as it came. Valid is what onnx's checker and ONNX Runtime take and
whose outputs, computed without ONNX Runtime's optimizers, stay within 1e-5 of their largest magnitude. Peers get
environments of their own (`peers/environments.py`); `--alone` leaves them out.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir
from rich.console import Console
from rich.table import Table

from benchmarks.peers.environments import python_of
from benchmarks.shared_data import SHARED, prepare, shared_or_exit
from winnow.contract.declaration import Declaration
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from worker.compression.cache.checkpoint import Checkpoints
from worker.compression.data.source import Data, Source
from worker.compression.graph.facts.counts import GraphCounts
from worker.compression.materials import Materials
from worker.compression.measure.feeds import benchmark_feed
from worker.compression.measure.network import Feed, Network
from worker.compression.measure.timing.fastest import Timed, time_candidates
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.options import Options
from worker.compression.progress import Silent
from worker.compression.result.artifact import finish
from worker.compression.run_steps import run_steps
from worker.compression.simplify.agreement import MAX_ERROR, Reference
from worker.compression.upload.upload import open_upload

PEERS: Final = ("onnxslim", "onnxsim")
SCRIPT: Final = Path(__file__).parent / "peers" / "scripts" / "simplifier_script.py"
TIMEOUT_SECONDS: Final = 600
RECIPE: Final = Recipe.model_validate({"steps": [{"kind": "simplify"}]})
COLUMNS: Final = ("model", "by", "nodes", "constants", "bytes", "ms", "speed-up", "largest error", "valid")
OURS: Final = "winnow"
ASKED_SHARE: Final = 2 / 3
"""Of the models on which there are at least as few nodes as by the better of the peers."""


@dataclass(frozen=True)
class Simplified:
    """A file, or why there is none. `error`: of the outputs, as a share of their largest magnitude."""

    by: str
    path: Path | None
    why: str = ""
    counts: GraphCounts | None = None
    size: int = 0
    error: float = np.inf
    timed: Timed | None = None

    @property
    def is_valid(self) -> bool:
        return self.path is not None and not self.why and self.error <= MAX_ERROR

    @property
    def nodes(self) -> float:
        return np.inf if self.counts is None else self.counts.nodes


def main() -> None:
    shared_or_exit()
    arguments = [name for name in sys.argv[1:] if name != "--alone"]
    peers = () if "--alone" in sys.argv else PEERS
    models = [SHARED / "models" / name for name in arguments] or sorted((SHARED / "models").glob("*.onnx"))
    table = Table(*COLUMNS, title="simplify beside its peers, 1 thread, batch 1")
    done: dict[str, list[Simplified]] = {}
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            done[model.name] = _measured(model, Path(folder), peers)
            for each in done[model.name]:
                row = _row(model.name, each)
                table.add_row(*row)
                print(" | ".join(row), flush=True)
        table.add_section()
    Console(width=170).print(table)
    for sentence in _findings(done, peers):
        print(sentence)


def _measured(model: Path, folder: Path, peers: Sequence[str]) -> list[Simplified]:
    """The file as it came first, then ours and the peers'."""
    data, benchmark = _data(model.name, folder)
    made = [Simplified("the file", model), _ours(model, folder, data, benchmark)]
    made += [_by_peer(peer, model, folder) for peer in peers]
    files = [each for each in made if each.path is not None]
    networks = [Network(each.path, 1, each.by) for each in files if each.path is not None]
    feed = _feed(networks[0], model, folder, data, benchmark)
    reference = Reference(model, feed, folder)
    times = dict(zip((each.by for each in files), time_candidates(networks, feed, 0, Silent()), strict=True))
    return [_judged(each, reference, times.get(each.by)) for each in made]


def _judged(made: Simplified, reference: Reference, timed: Timed | None) -> Simplified:
    if made.path is None:
        return made
    try:
        onnx.checker.check_model(str(made.path), full_check=True)
        why = ""
    except Exception as error:  # the checker's and the inference's errors have no common base
        why = str(error).strip().splitlines()[0][:80]
    counts = GraphCounts.of(model_files.load(made.path))
    error = reference.largest_error_of(ir.load(made.path))
    return Simplified(made.by, made.path, why, counts, bytes_of(made.path), error, timed)


def _ours(model: Path, folder: Path, data: Data, benchmark: Benchmark) -> Simplified:
    """The artifact of a job, without its measurements."""
    scratch = folder / "ours"
    scratch.mkdir()
    upload = open_upload(model, scratch, max_unpacked_bytes=2**34).for_steps(RECIPE.steps, data, scratch)
    options = Options(benchmark=benchmark)
    materials = Materials(upload, data, scratch, scratch / "curves", Silent(), options)
    kept = Checkpoints(scratch / "checkpoints", "")
    graph, reports = run_steps(RECIPE.steps, materials, kept, scratch / "best.onnx")
    return Simplified(OURS, finish(graph, reports, RECIPE.steps, materials).candidate)


def _by_peer(peer: str, model: Path, folder: Path) -> Simplified:
    out = folder / f"{peer}.onnx"
    try:
        command = [str(python_of(peer)), str(SCRIPT), str(model), str(out), peer]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False, cwd=folder
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        return Simplified(peer, None, f"failed: {error}"[:80])
    if done.returncode or not out.exists():
        return Simplified(peer, None, f"failed: {[*done.stderr.strip().splitlines(), ''][-1]}"[:80])
    try:
        Network(out, 1, peer)
    except Exception as error:  # whatever ONNX Runtime says of it
        return Simplified(peer, None, f"does not run: {error}"[:80])
    return Simplified(peer, out)


def _data(name: str, folder: Path) -> tuple[Data, Benchmark]:
    """What fits the model where that is known."""
    try:
        prepared = prepare(name, enlarged=6)
    except KeyError:
        return Data(), Benchmark()
    arrays: dict[str, Any] = dict(prepared.arrays)
    np.savez(folder / "data.npz", **arrays)
    declaration = Declaration.model_validate(prepared.declaration)
    return Data(calibration=Source(folder / "data.npz", declaration, (0, 4))), Benchmark(
        shapes=prepared.shapes
    )


def _feed(network: Network, model: Path, folder: Path, data: Data, benchmark: Benchmark) -> Feed:
    scratch = folder / "feed"
    scratch.mkdir()
    upload = open_upload(model, scratch, max_unpacked_bytes=2**34)
    materials = Materials(upload, data, scratch, scratch, Silent(), Options(benchmark=benchmark))
    samples = materials.samples(data.calibration)
    return benchmark_feed(network.inputs, 1, benchmark.shapes, samples, 0)[0]


def _row(model: str, made: Simplified) -> list[str]:
    if made.path is None or made.counts is None:
        return [model, made.by, made.why, *[""] * (len(COLUMNS) - 3)]
    timed = made.timed
    speed = "" if timed is None or made.by == "the file" else _speed(timed)
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


def _findings(done: dict[str, list[Simplified]], peers: Sequence[str]) -> Iterator[str]:
    """What is asked, and whether it is met."""
    ours = {name: made[1] for name, made in done.items()}
    files = {name: made[0] for name, made in done.items()}
    yield _finding("valid", [name for name, made in ours.items() if not made.is_valid])
    larger = [name for name, made in ours.items() if made.size > files[name].size]
    yield _finding("no larger than the file", larger)
    slower = [
        name
        for name, made in ours.items()
        if made.timed and not made.timed.untold and made.timed.interval[1] < 1
    ]
    yield _finding("not slower than the file, beyond the interval", slower)
    if peers:
        best = {name: min(each.nodes for each in made[2:]) for name, made in done.items()}
        fewer = [name for name, made in ours.items() if made.nodes <= best[name]]
        met = len(fewer) >= ASKED_SHARE * len(ours)
        yield (
            f"as few nodes as the better of the peers on {len(fewer)} of {len(ours)}, asked on two thirds: "
            f"{'met' if met else 'NOT met'}"
        )


def _finding(what: str, but: list[str]) -> str:
    return f"{what}: {'met' if not but else 'NOT met by ' + ', '.join(but)}"


if __name__ == "__main__":
    main()
