"""The trials of a job that searches, over HTTP; the test plays study and workers."""

import json
import time
from typing import Any

import pytest

from app.api.openapi import corpus
from app.storage.ids import study_of
from app.storage.records import Decision, Job, Study
from tests.app.api.test_jobs import stored
from tests.support.records import a_trial, a_worker
from tests.support.served import Served

SEARCH = {
    "recipe": {"steps": [{"kind": "weight_only", "bits": {"any_of": [8, 4]}}]},
    "search": {"budget": {"trials": 8}},
}


@pytest.fixture
def job(api: Served, model: str) -> Job:
    """A search that waits for its first turn."""
    answer = api.http.post("/v1/jobs", json={"model": model, **SEARCH})
    assert answer.status_code == 202, answer.text
    return record(api, answer.json()["id"])


def record(api: Served, id: str) -> Job:
    job = api.parts.records.job("local", id)
    assert job is not None
    return job


def turn(api: Served, search: Job, /, **decision: Any) -> None:
    study = api.claim(study_of(search.id))
    assert isinstance(study, Study)
    assert api.parts.records.settle(study.id, study.attempt, time.time(), study.news, Decision(**decision))


def result(size: int, speedup: float | None, drop: float, met: bool = True) -> dict[str, Any]:
    requirement = {
        "name": "max_metric_drop",
        "asked": 0.1,
        "measured": drop,
        "interval": [drop, drop],
        "met": met,
        "why": None if met else "worse",
    }
    return {
        "size_bytes": size,
        "speedup": None if speedup is None else {"value": speedup, "interval": [speedup, speedup]},
        "metrics": {"top1": {"before": 0.9, "after": 0.9 - drop, "drop": drop, "interval": [drop, drop]}},
        "requirements": [requirement],
    }


def tried(api: Served, job: Job, *results: dict[str, Any] | None) -> None:
    """A trial for each: with this result, or waiting still."""
    recipe = {"steps": [{"kind": "weight_only", "bits": 4}]}
    trials = [a_trial(job, number, recipe=recipe) for number in range(len(results))]
    turn(api, job, add=trials)
    for trial, measured in zip(trials, results, strict=True):
        if measured is not None:
            artifact = stored(api, f"model {trial.number}".encode())
            made = {"artifact_sha256": artifact, "artifact_bytes": 7, "result": measured}
            api.finish(trial.id, state="finished", **made)


def listed(api: Served, job: Job, **params: Any) -> list[dict[str, Any]]:
    answer = api.http.get(f"/v1/jobs/{job.id}/trials", params=params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def test_a_search_that_nobody_can_go_on_with_says_what_is_missing(
    api: Served, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While something of it waits: a turn, a trial, its end. What is at work waits for nobody."""
    monkeypatch.setattr("app.api.waiting_for.FRESH_SECONDS", -1.0)
    id = api.http.post("/v1/jobs", json={"model": model, **SEARCH, "needs": ["cuda"]}).json()["id"]

    def missing() -> str | None:
        shown = api.http.get(f"/v1/jobs/{id}").json()
        assert api.http.get("/v1/jobs").json()["items"] == [shown]
        return shown["waiting_for"] and str(shown["waiting_for"]["capability"])

    assert missing() == "cuda"
    trial = a_trial(record(api, id))
    turn(api, record(api, id), add=[trial])
    assert (record(api, id).state, missing()) == ("running", "cuda")
    worker = a_worker(queues=("cuda",))
    api.parts.records.worker_seen(worker, 0.0)
    assert missing() is None, "one has come that takes it"
    api.claim(trial.id)
    api.parts.records.drain(worker.id)
    assert missing() is None, "it takes nothing further, and goes on with what it has"
    api.http.post(f"/v1/jobs/{id}/cancel")
    assert (record(api, id).state, missing()) == ("cancelling", "cuda")


def test_a_search_is_published_as_its_study(api: Served, job: Job) -> None:
    assert job.searches
    assert api.queue.published[-1].id == study_of(job.id)


def test_a_trial_shows_its_recipe_and_what_was_measured(api: Served, job: Job) -> None:
    tried(api, job, result(100, 2.0, 0.01), None)
    done, waits = listed(api, job)
    assert done["recipe"]["steps"][0]["bits"] == 4
    assert done["recipe"]["steps"][0]["kind"] == "weight_only"
    assert done["speedup"] == {"value": 2.0, "interval": [2.0, 2.0]}
    assert done["metrics"]["top1"]["drop"] == 0.01
    assert (done["number"], done["state"], done["size_bytes"], done["meets"]) == (0, "finished", 100, True)
    assert done["artifact"] == {"sha256": stored(api, b"model 0"), "size_bytes": 7}
    assert (waits["number"], waits["state"], waits["meets"], waits["pareto"]) == (1, "waiting", None, False)
    assert (waits["size_bytes"], waits["speedup"], waits["metrics"]) == (None, None, {})


def test_the_pareto_set_has_what_no_other_trial_beats(api: Served, job: Job) -> None:
    """1 is beaten by 0; 2 is smaller, 3 better, 4 not timed but the smallest."""
    measured = [(100, 2.0, 0.02), (110, 1.9, 0.02), (50, 1.5, 0.05), (120, 1.1, 0.0), (40, None, 0.9)]
    tried(api, job, *(result(*values) for values in measured), None)
    assert [trial["number"] for trial in listed(api, job, pareto="true")] == [0, 2, 3, 4]
    assert [trial["number"] for trial in listed(api, job, pareto="false")] == [1, 5]
    assert [trial["pareto"] for trial in listed(api, job)] == [True, False, True, True, True, False]


def test_a_trial_that_was_tried_short_is_no_result(api: Served, job: Job) -> None:
    turn(api, job, add=[a_trial(job, share=1 / 3)])
    api.finish(a_trial(job).id, state="finished", result=result(100, 2.0, 0.0))
    assert [trial["pareto"] for trial in listed(api, job)] == [False]


def test_trials_are_filtered_by_state(api: Served, job: Job) -> None:
    tried(api, job, result(100, 2.0, 0.01, met=False), None)
    (done,) = listed(api, job, state="finished")
    assert (done["number"], done["meets"]) == (0, False)
    assert [trial["number"] for trial in listed(api, job, state="waiting")] == [1]
    assert listed(api, job, state="failed") == []
    assert api.http.get(f"/v1/jobs/{job.id}/trials", params={"state": "lost"}).status_code == 422


def test_trials_come_in_pages_by_number(api: Served, job: Job) -> None:
    tried(api, job, *[result(100 + n, 2.0, 0.01) for n in range(12)])
    numbers, address = [], f"/v1/jobs/{job.id}/trials?limit=5&state=finished"
    while address:
        page = api.http.get(address).json()
        assert len(page["items"]) <= 5
        numbers += [trial["number"] for trial in page["items"]]
        address = page["next"]
    assert numbers == list(range(12))


def test_a_final_is_no_trial(api: Served, job: Job) -> None:
    turn(api, job, add=[a_trial(job), a_trial(job, 1, role="final", recipe=None)])
    assert [trial["number"] for trial in listed(api, job)] == [0]
    answer = api.http.get(f"/v1/jobs/{job.id}/trials/1/artifact")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_failed_trial_shows_its_problem(api: Served, job: Job) -> None:
    turn(api, job, add=[a_trial(job, max_attempts=1)])
    lost = api.claim(a_trial(job).id)
    assert api.parts.records.release(lost.id, lost.attempt, time.time())
    (trial,) = listed(api, job)
    assert (trial["state"], trial["problem"]["code"]) == ("failed", "worker_lost")


def test_what_a_trial_made_is_downloaded(api: Served, job: Job) -> None:
    tried(api, job, result(100, 2.0, 0.01))
    turn(api, job, add=[a_trial(job, 1)])
    report = json.dumps(corpus()["Report"][0]).encode()
    api.finish(a_trial(job, 1).id, state="finished", report_sha256=stored(api, report))
    artifact = api.http.get(f"/v1/jobs/{job.id}/trials/0/artifact", headers={"range": "bytes=0-4"})
    assert (artifact.status_code, artifact.content) == (206, b"model")
    assert 'filename="net-winnow-0.onnx"' in artifact.headers["content-disposition"]
    answer = api.http.get(f"/v1/jobs/{job.id}/trials/1/report?raw=true")
    assert (answer.status_code, answer.json()) == (200, json.loads(report))
    unchanged = {"if-none-match": answer.headers["etag"]}
    assert api.http.get(f"/v1/jobs/{job.id}/trials/1/report?raw=true", headers=unchanged).status_code == 304


@pytest.mark.parametrize("what", ["artifact", "report"])
def test_what_is_not_there_is_told(api: Served, job: Job, what: str) -> None:
    tried(api, job, None)
    waits = api.http.get(f"/v1/jobs/{job.id}/trials/0/{what}")
    assert (waits.status_code, waits.json()["code"]) == (409, "no_artifact")
    assert "The trial 0 is waiting" in waits.json()["detail"]
    for path in (f"{job.id}/trials/7", "job_none/trials/0"):
        assert api.http.get(f"/v1/jobs/{path}/{what}").status_code == 404
    assert api.http.get(f"/v1/jobs/{job.id}/trials/-1/{what}").status_code == 422


def test_a_job_without_search_has_no_trials(api: Served, model: str) -> None:
    request = {"model": model, "recipe": {"steps": [{"kind": "float16"}]}}
    plain = api.http.post("/v1/jobs", json=request).json()
    assert plain["trials"] is None
    assert listed(api, record(api, plain["id"])) == []


def test_a_job_counts_its_trials_and_its_etag_follows(api: Served, job: Job) -> None:
    first = api.http.get(f"/v1/jobs/{job.id}")
    assert set(first.json()["trials"].values()) == {0}
    turn(api, job, add=[a_trial(job), a_trial(job, 1), a_trial(job, 2, role="final")])
    begun = api.http.get(f"/v1/jobs/{job.id}")
    api.claim(a_trial(job).id)
    running = api.http.get(f"/v1/jobs/{job.id}")
    counts = {"waiting": 1, "running": 1, "finished": 0, "failed": 0, "stopped_early": 0}
    assert running.json()["trials"] == counts
    assert len({answer.headers["etag"] for answer in (first, begun, running)}) == 3
    (shown,) = api.http.get("/v1/jobs").json()["items"]
    assert shown["trials"] == counts


def test_a_search_is_cancelled_retried_and_deleted(api: Served, job: Job) -> None:
    tried(api, job, result(100, 2.0, 0.01), None)
    answer = api.http.post(f"/v1/jobs/{job.id}/cancel").json()
    assert (answer["state"], answer["trials"]["stopped_early"]) == ("cancelling", 1)
    turn(api, job, job={"state": "cancelled"})
    api.queue.published.clear()
    retried = api.http.post(f"/v1/jobs/{job.id}/retry").json()
    assert (retried["state"], retried["queue_position"], retried["trials"]["finished"]) == ("queued", 1, 1)
    assert [wake.id for wake in api.queue.published] == [study_of(job.id)]
    assert api.http.post(f"/v1/jobs/{job.id}/cancel").json()["state"] == "cancelled"
    assert api.http.delete(f"/v1/jobs/{job.id}").status_code == 204
    assert api.http.get(f"/v1/jobs/{job.id}/trials").status_code == 404
    assert api.parts.records.trial_rows(job.id) == []
