"""A report is JSON for programs, without the time of each run unless asked, and a page for browsers."""

import json
from typing import Any

import pytest

from tests.app.api.test_jobs import stored, succeed
from tests.support.served import Served
from winnow.contract.errors import Refusal

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PAGE = b"<!doctype html><title>a page</title>"
TIMED = {"latency": [{"batch_size": 1, "baseline_samples_ms": [2.0], "candidate_samples_ms": [1.0]}]}


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_single_runs_are_told_to_who_asks_for_them(api: Served, job: str) -> None:
    api.finish(job, state="succeeded", report_sha256=stored(api, json.dumps(TIMED).encode()))
    brief, raw = (api.http.get(f"/v1/jobs/{job}/report", params=params) for params in ({}, {"raw": "true"}))
    assert raw.json() == TIMED
    nothing = {"baseline_samples_ms": None, "candidate_samples_ms": None}
    assert brief.json() == {"latency": [{"batch_size": 1, **nothing}]}
    assert brief.headers["etag"] != raw.headers["etag"]
    again = api.http.get(f"/v1/jobs/{job}/report", headers={"If-None-Match": brief.headers["etag"]})
    assert again.status_code == 304
    assert api.http.get(f"/v1/jobs/{job}/report?raw=yes").status_code == 422


def test_a_browser_is_shown_the_page_and_nothing_in_it_can_run(api: Served, job: str) -> None:
    succeed(api, job, PAGE)
    shown = api.http.get(f"/v1/jobs/{job}/report", headers=BROWSER)
    assert (shown.status_code, shown.content) == (200, PAGE)
    assert shown.headers["content-disposition"] == "inline"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert shown.headers["vary"] == "accept"
    policy = shown.headers["content-security-policy"].split("; ")
    assert policy[:3] == ["default-src 'none'", "style-src 'unsafe-inline'", "img-src data:"]
    assert "sandbox" in policy
    head = api.http.head(f"/v1/jobs/{job}/report", headers=BROWSER)
    assert head.headers["etag"] == shown.headers["etag"]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html;q=0, */*"])
def test_a_program_gets_json(api: Served, job: str, accept: str) -> None:
    succeed(api, job, PAGE)
    report = api.http.get(f"/v1/jobs/{job}/report", headers={"Accept": accept})
    assert report.json() == {"report": 1}
    assert report.headers["vary"] == "accept"


def test_an_older_report_is_rendered_once(api: Served, job: str) -> None:
    assert code(api.http.post(f"/v1/jobs/{job}/report/render")) == (409, "job_not_finished")
    succeed(api, job)
    none = api.http.get(f"/v1/jobs/{job}/report", headers=BROWSER)
    assert code(none) == (409, "no_artifact")
    assert f"/v1/jobs/{job}/report/render" in none.json()["detail"]
    asked, again = (api.http.post(f"/v1/jobs/{job}/report/render") for _ in range(2))
    assert (asked.status_code, asked.json()) == (again.status_code, again.json())
    assert (asked.status_code, asked.json()["kind"], asked.json()["job"]) == (202, "page", job)
    page = stored(api, PAGE)
    api.finish(asked.json()["id"], state="ready", answer_sha256=page)
    answer = {"job": job, "page_sha256": page}
    assert api.http.get(asked.headers["location"]).json() == answer
    assert api.http.post(f"/v1/jobs/{job}/report/render").json() == answer
    assert api.http.get(f"/v1/jobs/{job}/report", headers=BROWSER).content == PAGE


def test_a_page_that_cannot_be_made_says_so_and_is_asked_for_again(api: Served, job: str) -> None:
    succeed(api, job)
    asked = api.http.post(f"/v1/jobs/{job}/report/render")
    problem = Refusal("step_failed", "It could not be made.").problem.model_dump(mode="json")
    api.finish(asked.json()["id"], state="rejected", problem=problem)
    assert code(api.http.get(asked.headers["location"])) == (422, "step_failed")
    assert api.http.post(f"/v1/jobs/{job}/report/render").status_code == 202
