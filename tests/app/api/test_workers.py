"""`/v1/workers`: who works, at what, and who takes nothing new."""

import time
from pathlib import Path

import pytest

from app.storage.records import Taker
from tests.support.owners import also
from tests.support.records import a_job, a_worker, an_upload
from tests.support.served import Served, served
from winnow.contract.worker import Worker, Workers


def shown(api: Served) -> list[Worker]:
    answer = api.http.get("/v1/workers")
    assert answer.status_code == 200
    return Workers.model_validate(answer.json()).items


def test_workers_are_shown_with_what_they_have(api: Served) -> None:
    assert shown(api) == []
    fields = {"device": "NVIDIA H200", "cores": 8, "memory_bytes": 2**35, "threads": 4}
    worker = a_worker(queues=("cpu", "cuda", "work"), runtimes={"torch": "2.13.0"}, **fields)
    api.parts.records.worker_seen(worker, 0.0)
    api.parts.records.worker_seen(a_worker(last_seen=time.time() - 3600), 0.0)
    (seen,) = shown(api)
    assert (seen.id, seen.host, seen.capabilities) == (worker.id, "here", ["cpu", "cuda"])
    assert seen.model_dump(include=set(fields)) == fields
    assert (seen.doing, seen.draining, seen.runtimes) == (None, False, {"torch": "2.13.0"})


@pytest.mark.parametrize(
    ("scopes", "ids"), [(("read",), ["job_ada", None]), (("read", "admin"), ["job_ada", "job_bob"])]
)
def test_which_work_a_worker_does_is_told_to_its_owner_and_to_administrators(
    tmp_path: Path, scopes: tuple[str, ...], ids: list[str | None]
) -> None:
    with served(tmp_path, auth="keys") as api, also(api, "ada", scopes) as http:
        records = api.parts.records
        for owner in ("ada", "bob"):
            used, _ = records.add_upload(an_upload("f" * 64, owner=owner, state="ready"))
            records.add_job(a_job(used, id=f"job_{owner}", owner=owner), None)
            records.worker_seen(a_worker(id=f"wrk_{owner}"), 0.0)
            taker = Taker(id=f"wrk_{owner}", capabilities=frozenset({"cpu"}))
            assert records.claim_next(taker, time.time(), 30.0)
        workers = Workers.model_validate(http.get("/v1/workers").json()).items
        doing = [worker.doing for worker in sorted(workers, key=lambda worker: worker.id)]
        assert [work and (work.kind, work.id) for work in doing] == [("job", id) for id in ids]


def test_a_worker_is_drained_and_taken_back(api: Served) -> None:
    worker = a_worker()
    api.parts.records.worker_seen(worker, 0.0)
    for way, draining in (("drain", True), ("drain", True), ("undrain", False)):
        answer = api.http.post(f"/v1/workers/{worker.id}/{way}")
        assert (answer.status_code, answer.json()["draining"]) == (200, draining)
        assert [seen.draining for seen in shown(api)] == [draining]


def test_a_worker_that_is_not_there_cannot_be_drained(api: Served) -> None:
    answer = api.http.post("/v1/workers/wrk_none/drain")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
