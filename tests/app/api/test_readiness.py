"""What `/readyz` asks is asked once at a time, and never for long."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from app.api.readiness import ANSWER_SECONDS, Probe
from app.storage.memory import MemoryRecords
from app.storage.records import Worker
from tests.support.served import Served, served


def asked(answer: Callable[[], object]) -> tuple[Probe[object], list[float]]:
    times: list[float] = []

    def question() -> object:
        times.append(time.monotonic())
        return answer()

    return Probe(question), times


def test_however_many_ask_at_once_it_is_asked_once() -> None:
    probe, times = asked(lambda: 7)
    assert [probe.ask()[0].result(10) for _ in range(50)] == [7] * 50
    assert len(times) == 1


def test_what_hangs_is_not_asked_again_and_soon_nobody_waits_for_it() -> None:
    told = Event()
    probe, times = asked(lambda: told.wait(60))
    assert 0 < probe.ask()[1] <= ANSWER_SECONDS
    time.sleep(ANSWER_SECONDS)
    future, seconds = probe.ask()
    assert (future.done(), seconds, len(times)) == (False, 0.0, 1)
    told.set()
    assert future.result(10) is True


class Hangs(MemoryRecords):
    def __init__(self) -> None:
        super().__init__()
        self.told, self.pings = Event(), 0

    def ping(self) -> None:
        self.pings += 1
        self.told.wait(60)


def test_a_store_that_hangs_is_unreachable_for_all_who_ask_and_is_asked_once(tmp_path: Path) -> None:
    records = Hangs()
    with served(tmp_path, records=records) as api:
        for _ in range(5):
            answer = api.http.get("/readyz", timeout=10)
            assert (answer.status_code, answer.json()["database"]) == (503, "unreachable")
            assert api.http.get("/livez").status_code == 200
        assert records.pings == 1
        records.told.set()


def a_worker(**fields: object) -> Worker:
    now = time.time()
    made = {"id": "wrk_1", "host": "gpu-7", "queues": ("work",), "version": "0.1.0"}
    return Worker(**made | {"started_at": now, "last_seen": now} | fields)  # type: ignore[arg-type]


def test_workers_are_shown_and_do_not_make_it_unready(api: Served) -> None:
    assert api.http.get("/readyz").json()["workers"] == []
    layers, runtimes = {"seccomp": True, "landlock": 7}, {"onnxruntime-cpu": "1.32.0"}
    api.parts.records.worker_seen(a_worker(layers=layers, runtimes=runtimes), 0.0)
    api.parts.records.worker_seen(a_worker(id="wrk_2", last_seen=time.time() - 3600), 0.0)
    time.sleep(1.1)
    answer = api.http.get("/readyz")
    (shown,) = answer.json()["workers"]
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert set(shown) == {"host", "queues", "version", "started_at", "last_seen", "layers", "runtimes"}
    assert (shown["host"], shown["layers"], shown["runtimes"]) == ("gpu-7", layers, runtimes)


@pytest.mark.parametrize("fields", [{"host": "h" * 101}, {"runtimes": {"x": "y" * 101}}])
def test_a_worker_that_says_too_much_is_not_shown(api: Served, fields: dict[str, object]) -> None:
    api.parts.records.worker_seen(a_worker(**fields), 0.0)
    answer = api.http.get("/readyz")
    assert (answer.status_code, answer.json()["workers"]) == (200, [])
