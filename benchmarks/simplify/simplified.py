"""One file by `simplify` and by each peer, judged alike."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx_ir as ir

from benchmarks.peers.environments import python_of
from benchmarks.simplify.files import File
from winnow.contract.recipe import Recipe
from worker.compression.cache.checkpoint import Checkpoints
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

SCRIPT: Final = Path(__file__).parents[1] / "peers" / "scripts" / "simplifier_script.py"
TIMEOUT_SECONDS: Final = 600
RECIPE: Final = Recipe.model_validate({"steps": [{"kind": "simplify"}]})
ORIGINAL: Final = "the file"
OURS: Final = "winnow"


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


def simplified(file: File, folder: Path, peers: Sequence[str], *, times: bool) -> list[Simplified]:
    """The file as it came first, then ours and the peers'."""
    made = [Simplified(ORIGINAL, file.path), _ours(file, folder)]
    made += [_by_peer(peer, file.path, folder) for peer in peers]
    networks = {each.by: Network(each.path, 1, each.by) for each in made if each.path is not None}
    feed = _feed(networks[ORIGINAL], file, folder)
    reference = Reference(file.path, feed, folder)
    judged = [_judged(each, reference) for each in made]
    if not times:
        return judged
    timed = time_candidates(list(networks.values()), feed, 0, Silent())
    by = dict(zip(networks, timed, strict=True))
    return [replace(each, timed=by.get(each.by)) for each in judged]


def _judged(made: Simplified, reference: Reference) -> Simplified:
    if made.path is None:
        return made
    counts = GraphCounts.of(model_files.load(made.path))
    error = reference.largest_error_of(ir.load(made.path))
    return Simplified(made.by, made.path, _why_invalid(made.path), counts, bytes_of(made.path), error)


def _why_invalid(path: Path) -> str:
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # the checker's and the inference's errors have no common base
        return str(error).strip().splitlines()[0][:80]
    return ""


def _ours(file: File, folder: Path) -> Simplified:
    """The artifact of a job, without its measurements."""
    scratch = folder / "ours"
    scratch.mkdir()
    upload = open_upload(file.path, scratch, max_unpacked_bytes=2**34)
    upload = upload.for_steps(RECIPE.steps, file.data, scratch)
    options = Options(benchmark=file.benchmark)
    materials = Materials(upload, file.data, scratch, scratch / "curves", Silent(), options)
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


def _feed(network: Network, file: File, folder: Path) -> Feed:
    scratch = folder / "feed"
    scratch.mkdir()
    upload = open_upload(file.path, scratch, max_unpacked_bytes=2**34)
    materials = Materials(upload, file.data, scratch, scratch, Silent(), Options(benchmark=file.benchmark))
    samples = materials.samples(file.data.calibration)
    return benchmark_feed(network.inputs, 1, file.benchmark.shapes, samples, 0)[0]
