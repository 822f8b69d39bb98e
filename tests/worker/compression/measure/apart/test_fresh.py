import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest

from tests.support.graphs import mlp
from winnow.contract.errors import Refusal
from worker.compression.measure.apart.fresh import PeakMemory
from worker.compression.measure.apart.memory import measure_fresh
from worker.compression.measure.apart.subprocesses import Subprocesses

MIB = 2**20
PARENT = """
import subprocess, sys, time
code = "import sys, time; from worker.compression.measure.apart.parent import die_with_parent; die_with_parent()"
code += "; print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


def test_memory_that_is_freed_again_counts() -> None:
    """A block of 256 MiB is held for as long as polling needs to see it; 10 % for what else happens."""
    with PeakMemory() as peak:
        block = np.ones(256 * MIB, np.uint8)
        time.sleep(0.5)
        del block
    assert 0.9 * 256 * MIB < peak.bytes < 1.5 * 256 * MIB


def test_a_larger_model_takes_more_memory(tmp_path: Path) -> None:
    """Weights of 16 MiB against 0.01 MiB, at any input names (`file` is numpy's own word)."""
    peaks = []
    for hidden in (32, 2**16):
        model = mlp(hidden=hidden)
        model.graph.node[0].input[0] = model.graph.input[0].name = "file"
        onnx.save(model, tmp_path / f"{hidden}.onnx")
        feed = {"file": np.ones((1, 64), np.float32)}
        loaded = measure_fresh(tmp_path / f"{hidden}.onnx", feed, 1, "the model", Subprocesses())
        assert loaded.load_ms > 0
        peaks.append(loaded.peak_rss_bytes)
    assert peaks[1] - peaks[0] > 16 * MIB


def test_a_process_that_fails_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"nonsense")
    with pytest.raises(Refusal) as refused:
        measure_fresh(tmp_path / "no.onnx", {}, 1, "the compressed model", Subprocesses())
    assert refused.value.problem.code == "model_does_not_run"
    assert "the compressed model" in refused.value.problem.detail


def test_it_dies_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, 9)
        psutil.wait_procs([child], timeout=30)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
