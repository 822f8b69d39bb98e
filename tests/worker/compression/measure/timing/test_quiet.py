"""Beside other programs nothing is told of time; a quiet machine is waited for, so long and no longer."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.graphs import mlp
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Requirements
from winnow.contract.report import Pair
from worker.compression.machine.threads import usable_threads
from worker.compression.measure.apart.subprocesses import Subprocesses
from worker.compression.measure.compare import compare
from worker.compression.measure.timing import disturbance, quiet
from worker.compression.measure.timing.disturbance import Disturbance, Watch
from worker.compression.measure.timing.interleaved import Turns
from worker.compression.measure.timing.lock_file import PATH_VARIABLE
from worker.compression.measure.timing.quiet import Patience
from worker.compression.measure.verdict.requirements import judge
from worker.compression.measure.verdict.verdict import verdict
from worker.compression.progress import Silent

SAME = Pair(before=1000, after=1000, ratio=1.0)
CALM = Disturbance(0.0, 0.0)


@pytest.fixture
def busy() -> Iterator[None]:
    """Two processes for each of our CPUs that do nothing but compute."""
    command = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2 * usable_threads())]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    yield
    for process in processes:
        process.kill()
        process.communicate()


class Heard(Silent):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def log(self, message: str, level: str = "info", **values: object) -> None:
        self.messages.append(message)


@pytest.mark.usefixtures("busy", "fully_timed")
def test_beside_busy_processes_no_speed_is_told_and_every_place_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "lock"))
    onnx.save(mlp(), tmp_path / "a.onnx")
    found = compare(
        tmp_path / "a.onnx",
        tmp_path / "a.onnx",
        evaluation=None,
        calibration=None,
        overlap=False,
        metric=None,
        benchmark=Benchmark(rounds=9),
        seed=0,
        progress=Silent(),
        processes=Subprocesses(),
    )
    (latency,) = found.latency
    assert (latency.speedup, latency.speedup_interval, found.load_ms) == (None, None, None)
    assert latency.untold is not None
    assert latency.others_share > 0.1
    assert any("take to load could not be told" in note for note in found.notes)
    given = {"latency": [latency], "quality": [], "parity": found.parity, "size_bytes": SAME}
    (entry,) = judge(Requirements(min_speedup=0.01), **given)
    assert (entry.measured, entry.met) == (None, False)
    assert "could not be told" in str(entry.why)
    told = verdict(**given)
    assert told.faster is None
    assert any(latency.untold in sentence for sentence in told.summary)


@pytest.mark.usefixtures("busy")
def test_a_quiet_machine_is_waited_for_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(quiet.WAIT_VARIABLE, "0.25")
    heard, begun, tries = Heard(), time.monotonic(), []
    patience = Patience(heard)
    patience.until_quiet(lambda: tries.append(1), lambda _: "it is busy")
    assert 0.25 <= time.monotonic() - begun < 30
    assert len(tries) == 1
    assert not patience.has_time
    (said,) = heard.messages
    assert said.startswith("waiting for a quiet machine, 0.25 s at most: other programs used")


def test_what_was_disturbed_is_measured_again_while_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(quiet.WAIT_VARIABLE, "600")
    monkeypatch.setattr(disturbance, "MAX_OTHERS_SHARE", np.inf)
    tries = []
    found = Patience(Silent()).until_quiet(
        lambda: tries.append(1) or len(tries), lambda number: None if number == 3 else "it was busy"
    )
    assert found == 3


def test_our_own_work_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose accounts name nothing but this process: others have nothing, whatever it does."""
    monkeypatch.setattr(disturbance, "STAT", tmp_path / "stat")
    cpu, ticks = min(disturbance.os.sched_getaffinity(0)), disturbance.TICKS

    def accounts(seconds: float) -> None:
        used = round(seconds * ticks)
        (tmp_path / "stat").write_text(f"cpu  9 9 9\ncpu{cpu} {used} 0 0 7 7 0 0 0 0 0\nintr 5\n")

    accounts(time.process_time())
    watch = Watch()
    while time.process_time() < watch.begun.own + 0.1:
        pass
    accounts(time.process_time())
    assert watch.seen().others == 0
    accounts(time.process_time() + 600)
    assert watch.seen().why_untold() is not None


def test_what_the_kernel_does_not_tell_counts_as_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disturbance, "STAT", tmp_path / "none")
    monkeypatch.setattr(disturbance, "TASKS", tmp_path / "none")
    assert Watch(usable_threads()).seen().why_untold() is None


@pytest.mark.parametrize(
    ("blocks", "why"),
    [
        (([2.0] * 9, [1.0] * 9, [2.0] * 9), None),
        (([2.0] * 9, [1.0] * 9, [3.0] * 9), "differed from itself"),
        (([2.0] * 9, [1.0, 4.0, 2.0] * 3, [2.0] * 9), "only 3 of 9 rounds"),
    ],
)
def test_the_control_and_the_spread_decide_what_is_told(
    blocks: tuple[list[float], list[float], list[float]], why: str | None
) -> None:
    first, other, control = (np.repeat(np.array(block)[:, None], 5, axis=1) for block in blocks)
    untold = Turns([first, other], control, CALM).untold(1, 0)
    assert (untold is None) if why is None else (why in str(untold))


def test_rounds_of_a_slower_machine_are_left_out() -> None:
    """Five rounds at full speed; in four the first takes 1.4 and the other 1.6 times as long."""
    first = np.repeat(np.array([2.0] * 5 + [2.8] * 4)[:, None], 5, axis=1)
    other = np.repeat(np.array([1.0] * 5 + [1.6] * 4)[:, None], 5, axis=1)
    turns = Turns([first, other], first, CALM)
    assert turns.untold(1, 0) is None
    assert turns.speedup(1, 0) == (2.0, (2.0, 2.0))
    assert len(turns.ratios(1)) == 9


def test_a_run_that_was_interrupted_does_not_move_the_speedup() -> None:
    """Half the runs of each block take ten times as long."""
    slow = np.tile([1.0, 10.0], (9, 5))
    turns = Turns([2 * slow, slow], 2 * slow, CALM)
    assert turns.untold(1, 0) is None
    assert turns.speedup(1, 0) == (2.0, (2.0, 2.0))
