"""Runs `fresh` for the original and the candidate."""

import json
import logging
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.contract.errors import Refusal
from worker.compression.measure.network import Feed

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Loaded:
    """Milliseconds to make a session; bytes of `RssAnon` that loading and running adds to a fresh process."""

    load_ms: float
    peak_rss_bytes: int


def measure_fresh(model: Path, feed: Feed, threads: int, role: str) -> Loaded:
    """In a process of its own. Refuses with `model_does_not_run` when it fails or takes longer than 10 minutes."""
    with tempfile.TemporaryDirectory(prefix="winnow-fresh-") as folder:
        arrays = Path(folder) / "feed.npz"
        np.savez(
            arrays,
            allow_pickle=False,
            **{str(i): x for i, x in enumerate(feed.values())},
            names=np.array(list(feed)),
        )
        told = _run([str(model), str(arrays), str(threads)], role)
    return Loaded(load_ms=float(told["load_ms"]), peak_rss_bytes=int(told["peak_rss_bytes"]))


def _run(arguments: list[str], role: str) -> dict[str, float]:
    command = [sys.executable, "-m", "worker.compression.measure.fresh", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True)
    except subprocess.TimeoutExpired as error:
        raise _refusal(role, f"took longer than {TIMEOUT_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        log.error("fresh process: %s", error.stderr)
        what = f"was ended by signal {-error.returncode}" if error.returncode < 0 else "failed"
        raise _refusal(role, what) from error
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _refusal(role: str, what: str) -> Refusal:
    return Refusal(
        "model_does_not_run",
        f"Loading and running {role} in a fresh process {what}. It may need more memory than the limit allows.",
    )
