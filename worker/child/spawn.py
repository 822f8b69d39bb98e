"""Start the child: a new session, two pipes, and an environment in which there is nothing to steal."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from worker.child.reach import OUR_CODE
from worker.child.spec import Spec

PASSED_ON = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "VIRTUAL_ENV",
    "PYTHONHOME",
    "PYTHONDONTWRITEBYTECODE",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
)
"""All that the child learns of our environment: no database, no broker, no keys."""

MEASURE_LOCK = "WINNOW_MEASURE_LOCK"


@dataclass(frozen=True)
class Child:
    """`messages` ends when the work has ended; `stderr` may be held longer by what the work had started."""

    guard: subprocess.Popen[bytes]
    messages: IO[bytes]
    stderr: IO[bytes]


def spawn(spec: Spec, folder: Path, module: str) -> Child:
    """Start the child with `folder` as its home and scratch. Its process group is led by the guard."""
    file = folder / "spec.json"
    file.write_text(spec.model_dump_json())
    ours, theirs = os.pipe()
    try:
        guard = subprocess.Popen(
            [sys.executable, "-m", module, str(file), str(theirs)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[theirs],
            start_new_session=True,
            env=_environment(folder),
            cwd=folder,
        )
    finally:
        os.close(theirs)
    assert guard.stderr is not None
    return Child(guard, os.fdopen(ours, "rb", buffering=0), guard.stderr)


def _environment(folder: Path) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own = {"PYTHONPATH": str(OUR_CODE), "PYTHONUNBUFFERED": "1", "HOME": str(folder), "TMPDIR": str(folder)}
    lock = os.environ.get(MEASURE_LOCK) or str(Path(tempfile.gettempdir()) / "winnow-measure.lock")
    return passed | own | {MEASURE_LOCK: lock}  # the machine's, not of this TMPDIR
