"""The port `Workers`, as every store has to keep it."""

from dataclasses import replace

from app.storage.ports import Records
from app.storage.records import Worker

WORKER = Worker(
    id="wrk_1",
    host="gpu-7",
    queues=("inspect", "work"),
    version="0.1.0",
    started_at=1000.0,
    last_seen=1000.0,
    layers={"seccomp": True, "landlock": 7},
    runtimes={"onnxruntime-cpu": "1.32.0"},
)


def test_a_worker_comes_back_as_it_was_put_last(records: Records) -> None:
    records.worker_seen(WORKER, 0.0)
    seen_again = replace(WORKER, last_seen=1015.0, runtimes={})
    records.worker_seen(seen_again, 0.0)
    assert records.workers(0.0) == [seen_again]


def test_what_a_worker_has_comes_back(records: Records) -> None:
    worker = replace(WORKER, device="NVIDIA H200", cores=8, memory_bytes=2**40, threads=4)
    records.worker_seen(worker, 0.0)
    assert records.worker("wrk_1") == worker
    assert worker.capabilities == ("cpu", "inspect")


def test_only_an_operator_changes_whether_it_drains(records: Records) -> None:
    records.worker_seen(WORKER, 0.0)
    assert records.drain("wrk_1") == replace(WORKER, draining=True)
    records.worker_seen(replace(WORKER, last_seen=1015.0), 0.0)
    assert records.workers(0.0) == [replace(WORKER, last_seen=1015.0, draining=True)]
    assert records.drain("wrk_1", False) == replace(WORKER, last_seen=1015.0)
    assert (records.worker("wrk_none"), records.drain("wrk_none")) == (None, None)


def test_those_are_told_that_were_seen_lately_by_their_start(records: Records) -> None:
    other, old = replace(WORKER, id="wrk_0", started_at=1001.0), replace(WORKER, id="wrk_2", last_seen=900.0)
    for worker in (other, old, WORKER):
        records.worker_seen(worker, 0.0)
    assert records.workers(1000.0) == [WORKER, other]


def test_old_ones_are_forgotten_when_another_is_seen(records: Records) -> None:
    records.worker_seen(replace(WORKER, id="wrk_2", last_seen=900.0), 0.0)
    records.worker_seen(WORKER, 901.0)
    assert records.workers(0.0) == [WORKER]
