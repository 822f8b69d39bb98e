"""Who takes what, as every store has to keep it: `Leases.claim_next` and what jobs need."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from app.storage.ids import study_of
from app.storage.ports import Records
from app.storage.records import Decision, Job, Study, Taker, Trial, Upload, Wake, Worker
from tests.support.records import a_job, a_trial, a_worker, an_inquiry, an_upload

NUMBERS = count()


def taker(*capabilities: str, **fields: Any) -> Taker:
    return Taker(**{"id": "wrk_1", "capabilities": frozenset(capabilities or ("cpu",)), **fields})


def taken(records: Records, *capabilities: str, now: float = 2000.0, **fields: Any) -> str | None:
    item = records.claim_next(taker(*capabilities, **fields), now, 30.0)
    return None if item is None else item.id


def model_of(records: Records, owner: str) -> Upload:
    return records.add_upload(an_upload(owner=owner, state="ready"))[0]


def added(records: Records, owner: str = "local", **fields: Any) -> str:
    """A job that was made after the last one."""
    made = {"created_at": 1000.0 + next(NUMBERS), "owner": owner}
    return records.add_job(a_job(model_of(records, owner), **made | fields), None)[0].id


def ended(records: Records, id: str) -> None:
    assert records.finish(id, 1, 2001.0, {"state": "succeeded"})


def test_the_oldest_of_the_highest_priority_is_taken_first(records: Records) -> None:
    jobs = [added(records, priority=priority) for priority in (0, 3, -1, 3)]
    assert [records.queue_position(id) for id in jobs] == [3, 1, 4, 2]
    assert [taken(records) for _ in range(5)] == [jobs[1], jobs[3], jobs[0], jobs[2], None]


def test_a_priority_counts_among_the_jobs_of_one_owner_only(records: Records) -> None:
    mine = [added(records, "a", priority=10) for _ in range(3)]
    others = added(records, "b", priority=-10)
    assert [taken(records) for _ in range(2)] == [mine[0], others]


def test_the_owner_for_whom_the_least_runs_comes_first(records: Records) -> None:
    """Those that come later are not behind all that an owner has sent before."""
    mine, others = [added(records, "a") for _ in range(4)], [added(records, "b") for _ in range(2)]
    order = [mine[0], others[0], mine[1], others[1], mine[2], mine[3]]
    positions = records.queue_positions([*mine, *others])
    assert sorted(positions, key=lambda id: positions[id]) == order
    assert positions == {id: records.queue_position(id) for id in order}
    assert [taken(records) for _ in order] == order


def test_whoever_ends_something_does_not_push_in(records: Records) -> None:
    """With one worker nothing runs for anybody when it is free: then whoever was served longest ago."""
    jobs = {owner: [added(records, owner) for _ in range(2)] for owner in ("a", "b", "c")}
    order = []
    for _ in range(6):
        id = taken(records)
        assert id is not None
        ended(records, id)
        order.append(id)
    assert order == [jobs[owner][n] for n in range(2) for owner in ("a", "b", "c")]


@pytest.mark.parametrize(
    ("able", "needs", "found"),
    [
        (("cpu",), ("cpu",), True),
        (("cpu",), ("cuda",), False),
        (("cuda",), ("cuda",), True),
        (("cuda",), ("cpu",), False),
        (("cpu", "cuda", "big"), ("big", "cuda"), True),
        (("cpu", "cuda"), ("big", "cuda"), False),
        (("inspect",), ("cpu",), False),
    ],
)
def test_a_worker_takes_what_needs_nothing_that_it_lacks(
    able: tuple[str, ...], needs: tuple[str, ...], found: bool, records: Records
) -> None:
    id = added(records, needs=needs)
    assert taken(records, *able) == (id if found else None)
    assert (records.queue_position(id) is None) == found


def test_what_cannot_be_done_here_holds_up_nobody(records: Records) -> None:
    special = added(records, needs=("cuda",), priority=5)
    usual = added(records)
    assert records.queue_positions([special, usual]) == {special: 1, usual: 1}
    assert [taken(records), taken(records)] == [usual, None]
    assert taken(records, "cpu", "cuda") == special


def test_a_target_that_others_have_is_left_to_them(records: Records) -> None:
    for_others, usual = added(records, request={"target": "openvino-cpu"}, priority=1), added(records)
    elsewhere = frozenset({"openvino-cpu"})
    assert [taken(records, elsewhere=elsewhere) for _ in range(2)] == [usual, None]
    assert taken(records) == for_others


def test_hints_go_to_the_queue_of_what_is_needed(records: Records) -> None:
    jobs = {
        queue: added(records, needs=needs)
        for queue, needs in {"cpu": ("cpu",), "cuda": ("cpu", "cuda"), "big": ("big", "cuda")}.items()
    }
    assert records.reap(2000.0, 15.0).waiting == {"inspect": 0, **dict.fromkeys(jobs, 1)}
    for queue, id in jobs.items():
        assert records.republish(queue, 9, 2100.0, 2100.0) == [Wake(queue=queue, id=id)]
    records.claim(jobs["cuda"], 2100.0, 30.0)
    assert records.reap(2130.0, 15.0).released == [Wake(queue="cuda", id=jobs["cuda"])]


def test_uploads_and_questions_are_for_who_inspects_and_come_before_jobs(records: Records) -> None:
    job = added(records)
    model, dataset = (an_upload(sha * 64, kind=kind) for sha, kind in (("b", "model"), ("c", "dataset")))
    for upload in (model, dataset):
        records.add_upload(upload)
    question = records.add_inquiry(an_inquiry(model, dataset, created_at=1001.0))[0]
    assert taken(records, "cuda") is None
    first, second, *rest = (taken(records, "inspect", "cpu") for _ in range(5))
    assert {first, second} == {model.id, dataset.id}
    assert rest == [question.id, job, None]


def a_search(records: Records, **fields: Any) -> tuple[Job, Study]:
    job, _ = records.add_job(a_job(model_of(records, "local"), searches=True, **fields), None)
    study = records.study(job.id)
    assert study is not None
    return job, study


def test_a_search_needs_in_all_its_parts_what_its_job_does(records: Records) -> None:
    job, study = a_search(records, needs=("cuda",), priority=4)
    assert (study.needs, study.priority) == (("cuda",), 4)
    assert taken(records) is None
    assert taken(records, "cuda") == study_of(job.id)
    trials = [a_trial(job, number, role=role) for number, role in enumerate(("trial", "final"))]
    assert records.settle(study.id, 1, 2001.0, study.news, Decision(add=trials))
    assert [(row.needs, row.priority) for row in records.trial_rows(job.id)] == [(("cuda",), 4)] * 2
    assert taken(records) is None
    found = records.claim_next(taker("cuda", host="gpu-7"), 2002.0, 30.0)
    assert isinstance(found, Trial)
    assert (found.worker, found.holder, found.state) == ("gpu-7", "wrk_1", "running")


def test_a_turn_of_a_search_comes_first_and_counts_as_nothing_that_runs(records: Records) -> None:
    urgent = added(records, "local", priority=9)
    job, _ = a_search(records)
    others = added(records, "z")
    assert [taken(records) for _ in range(3)] == [study_of(job.id), others, urgent]


def test_what_is_taken_tells_who_holds_it(records: Records) -> None:
    id = added(records)
    assert taken(records, id="wrk_7") == id
    assert [(item.id, item.holder) for item in records.held()] == [(id, "wrk_7")]
    records.release(id, 1, 2001.0)
    records.claim(id, 2002.0, 30.0, holder="wrk_8")
    assert [item.holder for item in records.held()] == ["wrk_8"]


def test_who_drains_takes_nothing_new(records: Records) -> None:
    first, second = added(records), added(records)
    worker: Worker = a_worker(id="wrk_1")
    records.worker_seen(worker, 0.0)
    assert taken(records) == first
    assert records.drain("wrk_1") == records.worker("wrk_1")
    assert taken(records) is None
    assert taken(records, id="wrk_2") == second
    third = added(records)
    records.drain("wrk_1", False)
    assert taken(records) == third


def test_when_it_began_to_wait_is_kept_over_attempts(records: Records) -> None:
    id = added(records, queued_at=1000.0)
    taken(records)
    records.release(id, 1, 2010.0)
    job = records.job("local", id)
    assert job is not None
    assert job.queued_at == 2010.0
    records.cancel_job("local", id, 2020.0)
    again = records.retry_job("local", id, 2030.0, 3)
    assert again is not None
    assert again.queued_at == 2030.0


def test_many_at_once_share_fairly(records: Records) -> None:
    jobs = {owner: [added(records, owner) for _ in range(6)] for owner in ("a", "b", "c")}
    with ThreadPoolExecutor(6) as pool:
        items = list(pool.map(lambda _: taken(records), range(9)))
    assert len({*items}) == 9
    assert all(len({*items} & {*mine}) == 3 for mine in jobs.values())
