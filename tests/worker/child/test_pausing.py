"""While one child is timed alone the machine's others stand still, and go on whatever happens to their supervisors."""

import fcntl
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from pydantic import TypeAdapter

from worker.child import pausing
from worker.child.endings import Failed
from worker.child.pausing import Pausing
from worker.child.spawn import _measure_lock
from worker.child.spec import Limits, Work
from worker.child.supervise import _is_judged, _Supervision
from worker.compression.measure.timing.lock_file import PATH_VARIABLE, alone_path, process_timed_alone

SUPERVISOR = """
import json, sys
from pathlib import Path
from pydantic import TypeAdapter
from worker.child.protocol import Logged
from worker.child.spec import Limits, Work
from worker.child.supervise import supervise
class Watch:
    def note(self, note):
        if isinstance(note, Logged):
            print(json.dumps(note.values), flush=True)
    def tick(self):
        return None
task = TypeAdapter(Work).validate_json(sys.argv[1])
folder = Path(sys.argv[2])
limits = Limits(seconds=120, memory_bytes=1 << 31, mapped_bytes=1 << 34)
print(type(supervise(task, limits, folder, Watch(), "tests.support.child")).__name__, flush=True)
"""

Supervisor = subprocess.Popen[str]
WORK: TypeAdapter[Work] = TypeAdapter(Work)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Supervisor]]:
    """Supervise a task in a worker of its own, as on a machine with several; they are ended with the test."""
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "measure.lock"))
    started: list[Supervisor] = []

    def begun(task: dict[str, object], folder: Path) -> Supervisor:
        command = [sys.executable, "-c", SUPERVISOR, json.dumps(task), str(folder)]
        started.append(subprocess.Popen(command, cwd=Path.cwd(), stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield begun
    for process in started:
        with process:
            process.kill()


def counting(folder: Path) -> dict[str, object]:
    folder.mkdir()
    return {
        "kind": "inspect_dataset",
        "path": str(folder / "none.npz"),
        "declaration": {"constants": {"count": 1}},
        "scratch": str(folder),
        "max_unpacked_bytes": 1 << 30,
    }


def final(folder: Path, counts: Path) -> dict[str, object]:
    folder.mkdir()
    recipe = {"steps": [{"kind": "float16"}]}
    job = {
        **{"kind": "compress", "model": str(folder / "m.onnx"), "recipe": recipe, "out_dir": str(folder)},
        **dict.fromkeys(["calibration", "training", "evaluation_data", "evaluation"]),
        **{"require": {}, "benchmark": {}, "seed": 0, "max_unpacked_bytes": 1 << 30},
    }
    tried = {
        **{"number": 0, "artifact": str(counts), "report": str(folder / "r.json"), "recipe": recipe},
        **{"chance": 0.9, "cost": None},
    }
    search = {
        "objective": "latency",
        "spaces": [],
        "trials": 1,
        "chosen": None,
        "recipe": None,
        "sentences": [],
    }
    judged = {name: value for name, value in job.items() if name not in ("kind", "recipe")}
    return {**judged, "kind": "judge_final", "tried": [tried], "search": search}


def values_from(supervisor: Supervisor) -> dict[str, int]:
    assert supervisor.stdout is not None
    values: dict[str, int] = json.loads(supervisor.stdout.readline())
    return values


@contextmanager
def timed_alone() -> Iterator[None]:
    """Hold the lock as a child that is timed alone does."""
    _measure_lock()
    with alone_path().open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def until(process: psutil.Process, stopped: bool, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while (process.status() == psutil.STATUS_STOPPED) != stopped and time.monotonic() < deadline:
        time.sleep(0.02)
    return (process.status() == psutil.STATUS_STOPPED) == stopped


def test_the_other_child_stands_still_while_the_final_is_timed_and_goes_on_behind_it(
    start: Callable[..., Supervisor], tmp_path: Path
) -> None:
    other = start(counting(tmp_path / "other"), tmp_path / "other")
    values_from(other)
    judged = start(final(tmp_path / "final", tmp_path / "other"), tmp_path / "final")
    seen = values_from(judged)
    assert 0 < seen["before"] == seen["meanwhile"] < seen["after"]
    (tmp_path / "other" / "enough").touch()
    for supervisor in (judged, other):
        assert supervisor.communicate(timeout=60)[0] == "Finished\n"


def test_who_loses_its_supervisor_while_it_is_paused_ends(
    start: Callable[..., Supervisor], tmp_path: Path
) -> None:
    other = start(counting(tmp_path / "other"), tmp_path / "other")
    work = psutil.Process(values_from(other)["pid"])
    with timed_alone():
        assert until(work, stopped=True)
        other.send_signal(signal.SIGKILL)
        psutil.wait_procs([work], timeout=20)
        assert not work.is_running()


def test_who_has_a_frozen_supervisor_goes_on_by_its_guard(
    start: Callable[..., Supervisor], tmp_path: Path
) -> None:
    other = start(counting(tmp_path / "other"), tmp_path / "other")
    work = psutil.Process(values_from(other)["pid"])
    with timed_alone():
        assert until(work, stopped=True)
        other.send_signal(signal.SIGSTOP)
        assert until(work, stopped=False)


def test_nobody_is_timed_alone_where_nothing_holds_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "measure.lock"))
    assert process_timed_alone() is None
    _measure_lock()
    assert process_timed_alone() is None


def test_so_does_every_other_while_a_job_is_judged_and_not_while_a_trial_is(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    fields = {name: value for name, value in final(folder, folder).items() if name not in ("tried", "search")}
    task = {**fields, "kind": "compress", "recipe": {"steps": [{"kind": "float16"}]}}
    judged = {judging: WORK.validate_python({**task, "judging": judging}) for judging in ("result", "trial")}
    assert [_is_judged(judged[judging]) for judging in ("result", "trial")] == [True, False]


def test_a_limit_of_time_stands_still_in_a_pause_and_the_lease_is_looked_after(tmp_path: Path) -> None:
    ticks: list[float] = []

    class Watch:
        def note(self, _: object) -> None: ...

        def tick(self) -> None:
            ticks.append(0.0)

    task = WORK.validate_python(counting(tmp_path / "other"))
    limits = Limits(seconds=10, memory_bytes=1 << 31, mapped_bytes=1 << 34)
    supervision = _Supervision(task, limits, Watch(), "job")
    paused = 0.0
    supervision._pausing.seconds = lambda _: paused  # type: ignore[method-assign]
    begun = supervision._started
    assert supervision._look(begun + 9.9) is None
    paused = 25.0
    assert supervision._look(begun + 34.9) is None
    assert isinstance(supervision._look(begun + 35.1), Failed)
    assert len(ticks) == 3


def test_work_loses_a_tenth_of_its_time_at_most_in_the_long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many measure one after the other, here all the time."""
    now = 0.0
    monkeypatch.setattr(pausing, "process_timed_alone", lambda: 1 if now % 20 else None)
    monkeypatch.setattr(pausing, "_send", lambda *_: None)
    paused = Pausing("job")
    for now in (turn / 2 for turn in range(20_000)):
        paused.look(now, [])
        assert paused.seconds(now) <= pausing.FREE_SECONDS + 0.1 * now + 0.5
    assert paused.seconds(now) > 0.09 * now


def test_a_pause_is_bounded_and_counts_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[signal.Signals] = []
    timed: list[int | None] = [None]
    monkeypatch.setattr(pausing, "process_timed_alone", lambda: timed[0])
    monkeypatch.setattr(pausing, "_send", lambda signum, guards: sent.append(signum))
    paused = Pausing("job", max_seconds=10)
    paused.look(0, [])
    assert sent == []
    timed[0] = 1
    for now in (1, 6, 11):
        paused.look(now, [])
    assert sent == [signal.SIGURG] * 3
    assert paused.seconds(11) == 10
    for now in (12, 20):
        paused.look(now, [])
    assert sent[3:] == [signal.SIGCONT]
    assert paused.seconds(20) == 11
    timed[0] = None
    paused.look(21, [])
    timed[0] = 1
    paused.look(22, [])
    assert sent[4:] == [signal.SIGURG]
    assert paused.seconds(24) == 13
