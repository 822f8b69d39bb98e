"""Ours and the peers' ways to 8 bits, each run in a process of its own on the same model and samples."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.peers.cases import Case
from benchmarks.peers.environments import python_of
from winnow.contract.errors import Refusal
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.measure.network import Network
from worker.compression.onnx_files import model_files
from worker.compression.steps.opset import raised

SCRIPTS: Final = Path(__file__).parent / "scripts"
ROOT: Final = Path(__file__).parents[2]
TIMEOUT_SECONDS = 900
NEWER_OPSET = 17
FASTEST, QUALITY, STATIC, NNCF = "int8 latency, max_drop 1", "int8 quality", "int8_static", "nncf default"
OURS: Final[dict[str, dict[str, Any]]] = {
    STATIC: {"kind": "int8_static"},
    "int8 latency": {"kind": "int8", "prefer": "latency"},
    FASTEST: {"kind": "int8", "prefer": "latency", "max_drop": 1},
    QUALITY: {"kind": "int8", "prefer": "quality"},
}
"""By itself `int8` takes nothing below 20 dB; peers ask for no quality, so for speed alone it asks for none either."""
PEERS: Final = (
    ("nncf", "default"),
    ("nncf", "mixed"),
    ("onnxruntime", "u8s8"),
    ("onnxruntime", "s8s8"),
    ("neural", "default"),
)
OF_TRANSFORMERS: Final = (
    ("nncf", "transformer"),
    ("onnxruntime", "dynamic"),
    ("neural", "smooth"),
    ("neural", "dynamic"),
)


@dataclass(frozen=True)
class Candidate:
    """`seconds` and `memory_bytes` of the work: the process' peak beyond what it had after its imports."""

    name: str
    ours: bool
    path: Path
    seconds: float
    memory_bytes: int
    notes: list[str] = field(default_factory=list)

    @property
    def told(self) -> str:
        return f"{self.seconds:.1f} s"


@dataclass(frozen=True)
class Failed:
    name: str
    ours: bool
    why: str

    @property
    def told(self) -> str:
        return f"failed: {self.why}"


def candidates(
    case: Case,
    folder: Path,
    ours: Mapping[str, dict[str, Any]] = OURS,
    peers: Sequence[tuple[str, str]] | None = None,
) -> Iterator[Candidate | Failed]:
    """All of ours and of these peers (by itself those that fit the model), one after the other, and why those that
    failed did.

    A peer that cannot take the file as it is gets the normal form at a newer opset, which it would not have had alone.
    """
    if peers is None:
        peers = PEERS + (OF_TRANSFORMERS if case.transformer else ())
    for name, step in ours.items():
        command = [sys.executable, "-m", "benchmarks.peers.ours"]
        yield _made(name, True, command, case, folder, json.dumps(step))
    for peer, preset in peers:
        command = [str(python_of(peer)), str(SCRIPTS / f"{peer}_script.py")]
        yield _helped(f"{peer} {preset}", command, case, folder, preset)


def _helped(name: str, command: list[str], case: Case, folder: Path, preset: str) -> Candidate | Failed:
    one = _made(name, False, command, case, folder, preset)
    if isinstance(one, Candidate):
        return one
    other = _made(f"{name} (normal form)", False, command, normal_form(case, folder), folder, preset)
    if isinstance(other, Candidate):
        return other
    return replace(one, why=f"{one.why}; in the normal form: {other.why}")


def normal_form(case: Case, folder: Path) -> Case:
    path = folder / "normal.onnx"
    if not path.exists():
        graph, _ = raised(normalise(model_files.load(case.model)), NEWER_OPSET, "the peers")
        model_files.save_single_file(graph, path)
    return replace(case, model=path)


def _made(
    name: str, ours: bool, command: list[str], case: Case, folder: Path, preset: str
) -> Candidate | Failed:
    out = folder / f"{re.sub('[^a-z0-9_]+', '-', name).strip('-')}.onnx"
    for old in (out, out.with_name(f"{out.name}_data")):
        old.unlink(missing_ok=True)
    where = ROOT if ours else folder  # some peers leave files where they run
    arguments = [*command, str(case.model), str(case.calibration), str(out), preset]
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False, cwd=where
        )
    except subprocess.TimeoutExpired:
        return Failed(name, ours, f"took longer than {TIMEOUT_SECONDS} s")
    (folder / f"{out.stem}.log").write_text(done.stdout + done.stderr)
    if done.returncode or not out.exists():
        return Failed(name, ours, _last(done.stderr))
    told = json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{")))
    memory = told["peak_bytes"] - told["before_bytes"]
    made = Candidate(name, ours, out, told["seconds"], memory, told["notes"])
    why = _not_running(made)
    return made if why is None else Failed(name, ours, why)


def _not_running(one: Candidate) -> str | None:
    """Why not."""
    try:
        Network(one.path, 1, one.name)
    except Refusal as refusal:
        return refusal.problem.detail[:300]
    return None


def _last(told: str) -> str:
    """The exception of a traceback, where there is one."""
    lines = [line for line in told.strip().splitlines() if line and not line.startswith(" ")]
    return lines[-1][:200] if lines else "no message"
