"""Jobs beside each other: figures of their reports, what makes them incomparable, and what cannot be compared."""

from typing import Any

import pytest

from app.api.openapi import corpus
from tests.app.api.test_problems import problem
from tests.support.served import Served
from tests.support.shown import succeeded

REPORT = corpus()["Report"][0]


@pytest.fixture
def jobs(api: Served, model: str) -> list[str]:
    """Three that wait."""
    asked = {"model": model, "recipe": {"steps": [{"kind": "float16"}]}}
    answers = [api.http.post("/v1/jobs", json={**asked, "name": f"job {n}"}).json() for n in range(3)]
    return [answer["id"] for answer in answers]


def compared(api: Served, *ids: str) -> Any:
    answer = api.http.get("/v1/compare", params={"jobs": ",".join(ids)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def losing(drop: float) -> list[dict[str, Any]]:
    return [{**REPORT["quality"][0], "drop": drop}]


def test_figures_are_those_of_the_reports_in_the_order_that_was_asked_for(
    api: Served, jobs: list[str]
) -> None:
    for job, size in zip(jobs, (9000, 7000), strict=False):
        succeeded(api, job, size)
    items = compared(api, jobs[1], jobs[0])["items"]
    assert [(it["id"], it["name"], it["size_bytes"]["after"]) for it in items] == [
        (jobs[1], "job 1", 7000),
        (jobs[0], "job 0", 9000),
    ]
    for item in items:
        assert item["recipe"] == [step["kind"] for step in REPORT["steps"]]
        assert item["speed"]["speedup"] == REPORT["latency"][0]["speedup"]
        assert item["metrics"]["top1"]["drop"] == REPORT["quality"][0]["drop"]
        assert item["requirements"] == REPORT["requirements"]


def test_those_that_no_other_one_beats_are_marked(api: Served, jobs: list[str]) -> None:
    for job, size, drop in zip(jobs, (5000, 7000, 8000), (0.02, 0.01, 0.03), strict=True):
        succeeded(api, job, size, quality=losing(drop))
    assert [item["pareto"] for item in compared(api, *jobs)["items"]] == [True, True, False]


def test_what_makes_figures_incomparable_is_said(api: Served, jobs: list[str]) -> None:
    environment = {**REPORT["environment"], "cpu": "another"}
    timed = [{**REPORT["latency"][0], "threads": 7}]
    succeeded(api, jobs[0], 1)
    succeeded(api, jobs[1], 2)
    succeeded(api, jobs[2], 3, environment=environment, source_sha256="0" * 64, latency=timed)
    assert compared(api, *jobs[:2])["notes"] == []
    notes = compared(api, *jobs)["notes"]
    assert [
        word for word in ("different models", "different CPUs", "batch sizes") if word in " ".join(notes)
    ] == [
        "different models",
        "different CPUs",
        "batch sizes",
    ]


def test_what_was_not_measured_is_null(api: Served, jobs: list[str]) -> None:
    for job in jobs[:2]:
        succeeded(api, job, 1, latency=[], quality=[], macs=None, peak_rss_bytes=None)
    for item in compared(api, *jobs[:2])["items"]:
        assert (item["speed"], item["metrics"], item["macs"], item["peak_rss_bytes"]) == (
            None,
            {},
            None,
            None,
        )


def test_every_job_that_cannot_be_compared_is_named(api: Served, jobs: list[str]) -> None:
    succeeded(api, jobs[0], 1)
    told = problem(api.http.get("/v1/compare", params={"jobs": f"{jobs[0]},{jobs[1]},job_x"}))
    assert (told.code, told.field) == ("job_not_finished", "jobs")
    assert jobs[1] in told.detail
    assert "'job_x'" in told.detail
    api.http.post(f"/v1/jobs/{jobs[1]}/cancel")
    told = problem(api.http.get("/v1/compare", params={"jobs": f"{jobs[0]},{jobs[1]}"}))
    assert (told.code, told.status) == ("no_artifact", 409)


@pytest.mark.parametrize("text", ["job_a", "job_a,", ",", ",".join(f"job_{n}" for n in range(21))])
def test_from_2_to_20_jobs_are_compared(api: Served, text: str) -> None:
    told = problem(api.http.get("/v1/compare", params={"jobs": text}))
    assert (told.code, told.field) == ("invalid_request", "jobs")
    assert "2 to 20 jobs are compared" in told.detail


def test_a_report_that_cannot_be_read_is_a_problem(api: Served, jobs: list[str]) -> None:
    succeeded(api, jobs[0], 1)
    succeeded(api, jobs[1], 1, verdict={"of": "another version"})
    told = problem(api.http.get("/v1/compare", params={"jobs": ",".join(jobs[:2])}))
    assert (told.code, told.status) == ("no_artifact", 409)
    assert jobs[1] in told.detail


def test_a_report_with_more_than_this_version_knows_is_read(api: Served, jobs: list[str]) -> None:
    for job in jobs[:2]:
        succeeded(api, job, 1, of_a_later_version={"x": 1})
    assert len(compared(api, *jobs[:2])["items"]) == 2
