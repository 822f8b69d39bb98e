"""A child from a fork server is what one that was started by itself is, but sooner."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import onnx
import psutil
import pytest

from tests.support.forked import until_servers_are_ready
from tests.support.graphs import feeds, mlp
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe, Requirements
from worker.child import fork_server, forking, kernel, spawn
from worker.child.endings import kill_group
from worker.child.forking import NoForkServer, servers
from worker.child.protocol import Done
from worker.child.spawn import CHILD, Child
from worker.child.spec import CompareModels, Compress, Files, Limits, LoadModel, Spec
from worker.child.strays import adopt_strays
from worker.child.supervise import _Supervision

LIMITS = Limits(seconds=60, memory_bytes=1 << 30, mapped_bytes=1 << 34)
SECONDS = 20.0


pytestmark = pytest.mark.usefixtures("fork_servers")


def no_server(*_: object) -> None:
    raise NoForkServer


@contextmanager
def at_work(folder: Path) -> Iterator[tuple[Child, psutil.Process]]:
    """A child and the process that works in it, once it is behind its door."""
    model = folder / "model.onnx"
    onnx.save(mlp(), model)
    (own := folder / "own").mkdir()
    task = Compress(
        kind="compress",
        model=model,
        recipe=Recipe.model_validate({"steps": [{"kind": "no_op", "seconds": 60}]}),
        calibration=None,
        training=None,
        evaluation_data=None,
        out_dir=own,
        evaluation=None,
        require=Requirements(),
        benchmark=Benchmark(),
        seed=0,
        max_unpacked_bytes=1 << 30,
    )
    spec = Spec(
        parent=os.getpid(),
        task=task,
        limits=LIMITS,
        files=Files(own=own, lent=[model]),
        filtered=True,
        patience_seconds=30.0,
        alone=False,
    )
    child = spawn.spawn(own, CHILD)
    try:
        child.orders.write(spec.model_dump_json().encode() + b"\n")
        yield child, until_shut_in(child)
    finally:
        kill_group(child.guard)
        child.close()


def until_shut_in(child: Child) -> psutil.Process:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for process in psutil.Process(child.guard.pid).children():
            if status(process, "NoNewPrivs") == "1":
                time.sleep(0.2)  # what comes behind it takes less
                return process
        time.sleep(0.01)
    raise TimeoutError((child.stderr.read() or b"").decode())


def status(process: psutil.Process, name: str) -> str:
    text = Path(f"/proc/{process.pid}/status").read_text()
    return next(line.split(":")[1].strip() for line in text.splitlines() if line.startswith(f"{name}:"))


def described(child: Child, work: psutil.Process, folder: Path) -> dict[str, object]:
    return {
        **{name: status(work, name) for name in ("Seccomp", "NoNewPrivs", "CapEff", "CapPrm")},
        "network": Path(f"/proc/{work.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink(),
        "threads before it works": psutil.Process(child.guard.pid).num_threads(),
        "home": work.cwd() == str(folder / "own"),
        "leads its session": os.getsid(work.pid) == child.guard.pid == os.getpgid(work.pid),
        "ours": psutil.Process(child.guard.pid).ppid() == os.getpid(),
        "arguments": [*work.cmdline()[:5], work.cmdline()[6]],
        "sockets": [it for it in opened(child.guard.pid) if it.startswith("socket")],
        "descriptors of the guard": len(opened(child.guard.pid)),
    }


def opened(process: int) -> list[str]:
    return [str(link.readlink()) for link in Path(f"/proc/{process}/fd").iterdir()]


def test_it_is_shut_in_and_stands_where_one_that_was_started_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for way in ("forked", "started"):
        (folder := tmp_path / way).mkdir()
        if way == "started":
            monkeypatch.setattr(spawn, "fork", no_server)
        with at_work(folder) as (child, work):
            assert isinstance(child.guard, subprocess.Popen) == (way == "started")
            seen.append(described(child, work, folder))
            seen[-1]["arguments"] = str(seen[-1]["arguments"]).replace(way, "WAY")
    assert seen[0] == seen[1]
    assert seen[0]["Seccomp"] in ("2", "0")


def test_what_it_learns_of_our_environment_is_what_a_child_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINNOW_DATABASE_URL", "secret")
    with at_work(tmp_path) as (_, work):
        assert "secret" not in str(work.environ())


def test_loading_a_model_takes_the_same_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a tenth; 16 MiB of weights."""
    model, feed = tmp_path / "model.onnx", tmp_path / "feed.npz"
    graph = mlp(inputs=2048, hidden=2048)
    onnx.save(graph, model)
    fed = feeds(graph)
    np.savez(feed, names=np.array([*fed]), **{str(at): array for at, array in enumerate(fed.values())})  # type: ignore[arg-type]
    (tmp_path / "own").mkdir()
    forked = loaded(model, feed)
    monkeypatch.setattr(spawn, "fork", no_server)
    assert forked == pytest.approx(loaded(model, feed), rel=0.1)
    assert forked > 2**24


def loaded(model: Path, feed: Path) -> float:
    """The bytes that a child measured."""
    task = LoadModel(kind="load_model", model=model, feed=feed, threads=1)
    asked = CompareModels.model_construct(kind="compare_models")
    spec = Spec.model_construct(
        parent=os.getpid(),
        task=asked,
        limits=LIMITS,
        files=Files(own=model.parent / "own", lent=[model.parent]),
        filtered=True,
        patience_seconds=30.0,
        alone=False,
    )
    answer = _Supervision(asked, LIMITS, Silent(), "test")._measure(task, spec)
    assert isinstance(answer, Done), answer
    return float(answer.result["peak_rss_bytes"])


class Silent:
    def note(self, note: object) -> None: ...

    def tick(self) -> None: ...


def test_while_there_is_no_server_children_are_started_by_themselves(tmp_path: Path) -> None:
    for server in servers():
        os.kill(server, signal.SIGKILL)
    for way in ("started", "forked"):
        (folder := tmp_path / way).mkdir()
        with at_work(folder) as (child, _):
            assert isinstance(child.guard, subprocess.Popen) == (way == "started")
        until_servers_are_ready()


def test_it_can_be_killed_as_soon_as_it_is_there(tmp_path: Path) -> None:
    """It leads its group by then, else nobody would end and we would wait for ever."""
    for _ in range(20):
        child = spawn.spawn(tmp_path, CHILD)
        killer = Timer(SECONDS, os.kill, (child.guard.pid, signal.SIGKILL))
        killer.start()
        kill_group(child.guard)
        child.close()
        assert killer.is_alive()
        killer.cancel()


def test_a_server_without_an_answer_leaves_its_child_no_pipe_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forked = forking._Server.fork

    def unanswered(server: forking._Server, *given: Any) -> None:
        forked(server, *given)
        raise NoForkServer

    monkeypatch.setattr(forking._Server, "fork", unanswered)
    with at_work(tmp_path) as (child, work):
        work.kill()
        child.guard.wait()
        assert child.ended.read() == b""
        child.messages.read()
        assert isinstance(child.guard, subprocess.Popen)


def test_servers_are_for_work_that_follows_upon_work(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(spawn, "prepare", lambda what, _: asked.append(what))
    monkeypatch.setattr(spawn, "_wanted", {"work"})
    monkeypatch.setattr(spawn, "_last_end", -float("inf"))
    spawn.prepare_for_more(Path(os.sep), None)
    assert asked == []
    spawn.prepare_for_more(Path(os.sep), None)
    assert asked == ["work"]
    monkeypatch.setattr(spawn, "process_timed_alone", lambda: 1)
    spawn.prepare_for_more(Path(os.sep), None)
    assert asked == ["work"]


def test_what_the_kernel_does_not_give_us_is_started_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forking, "adopt_strays", lambda: None)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 0)
    try:
        with at_work(tmp_path) as (child, _):
            assert isinstance(child.guard, subprocess.Popen)
        assert forking._useless
    finally:
        adopt_strays()
        forking._useless.clear()


def test_a_server_that_nobody_asks_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server, "IDLE_SECONDS", 0.05)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        assert fork_server._serve(theirs) is None


WORKER = """
import time
from pathlib import Path
from worker.child.forking import servers
from worker.child.fork_server import LOAD, WORK
from worker.child.forking import prepare
from worker.child.spawn import _environment
for what in (WORK, LOAD):
    prepare(what, _environment(Path("/"), None))
print(*servers(), flush=True)
time.sleep(60)
"""


def test_servers_end_with_their_worker() -> None:
    with subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        started = [psutil.Process(int(number)) for number in worker.stdout.readline().split()]
        worker.kill()
    assert len(started) == 2
    assert psutil.wait_procs(started, SECONDS)[1] == []
