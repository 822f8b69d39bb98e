"""A finished job, taken in: what its files say of each other has to be so."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.api.openapi import corpus
from tests.app.api.conftest import ONNX
from tests.support.served import Served

REPORT = json.dumps(corpus()["Report"][0]).encode()
NAMES = {"artifact.onnx": ONNX, "report.json": REPORT}


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def exported(model: str, files: dict[str, bytes] | None = None, **changes: Any) -> dict[str, Any]:
    """A job that succeeded."""
    named = NAMES if files is None else files
    return {
        "request": {"model": model, "recipe": {"steps": [{"kind": "float16"}]}, "tags": {"team": "vision"}},
        "state": "succeeded",
        "outcome": "accepted",
        "problem": None,
        "requirements": [],
        "graph_sha256": "c" * 64,
        "attempt": 1,
        "started_at": "2026-01-31T12:00:00Z",
        "finished_at": "2026-01-31T12:01:00Z",
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in named.items()},
        **changes,
    }


def send(api: Served, job: dict[str, Any] | bytes, files: dict[str, bytes] | None = None) -> httpx.Response:
    content = job if isinstance(job, bytes) else json.dumps(job).encode()
    return api.http.post(
        "/v1/jobs/import", content=packed({"job.json": content, **(NAMES if files is None else files)})
    )


def test_an_imported_job_is_there_with_all_that_it_made(api: Served, model: str) -> None:
    answer = send(api, exported(model))
    assert answer.status_code == 201, answer.text
    job = api.http.get(answer.headers["location"]).json()
    assert job == answer.json()
    assert (job["state"], job["outcome"], job["progress"], job["tags"]) == (
        "succeeded",
        "accepted",
        1.0,
        {"team": "vision"},
    )
    assert job["finished_at"] == "2026-01-31T12:01:00Z"
    path = f"/v1/jobs/{job['id']}"
    assert api.http.get(f"{path}/artifact").content == ONNX
    assert api.http.get(f"{path}/report?raw=true").content == REPORT
    assert api.http.delete(path).status_code == 204
    assert api.queue.length("work") == 0


def test_a_job_that_failed_is_imported_with_its_problem_and_can_be_retried(api: Served, model: str) -> None:
    problem = corpus()["Problem"][0] | {"request_id": None}
    failed = exported(model, {}, state="failed", outcome=None, graph_sha256=None, problem=problem)
    answer = send(api, failed, {})
    assert answer.status_code == 201, answer.text
    assert answer.json()["problem"]["code"] == problem["code"]
    assert api.http.post(f"{answer.headers['location']}/retry").json()["state"] == "queued"


def test_it_runs_through_the_form_too(api: Served, model: str) -> None:
    content = packed({"job.json": json.dumps(exported(model)).encode(), **NAMES})
    assert api.http.post("/v1/jobs/import", files={"file": content}).status_code == 201


Damage = Callable[[dict[str, Any]], tuple[dict[str, Any] | bytes, dict[str, bytes]]]

WRONG: dict[str, tuple[int, str, Damage]] = {
    "no json": (400, "malformed_request", lambda job: (b"{", NAMES)),
    "unknown field": (422, "invalid_request", lambda job: ({**job, "extra": 1}, NAMES)),
    "not finished": (422, "invalid_request", lambda job: ({**job, "state": "running"}, NAMES)),
    "bytes that differ": (400, "digest_mismatch", lambda job: (job, {**NAMES, "artifact.onnx": ONNX + b"x"})),
    "a file that is missing": (400, "malformed_request", lambda job: (job, {"report.json": REPORT})),
    "a file too many": (400, "malformed_request", lambda job: (job, {**NAMES, "passwd": b"x"})),
    "a way out": (422, "unsafe_archive", lambda job: (job, {**NAMES, "../passwd": b"x"})),
    "a time before all others": (
        422,
        "invalid_request",
        lambda job: ({**job, "finished_at": "0001-01-01T00:00:00+14:00"}, NAMES),
    ),
    "no artifact": (422, "invalid_request", lambda job: ({**job, "files": {}}, {})),
    "another's model": (404, "not_found", lambda job: (_of("mdl_unknown", job), NAMES)),
    "a search that goes on": (
        422,
        "invalid_request",
        lambda job: (
            {**job, "state": "failed", "request": {**job["request"], "recipe": {"preset": "fast"}}},
            NAMES,
        ),
    ),
}


def _of(model: str, job: dict[str, Any]) -> dict[str, Any]:
    return {**job, "request": {**job["request"], "model": model}}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_together_is_refused(api: Served, model: str, what: str) -> None:
    status, code, damage = WRONG[what]
    answer = send(api, *damage(exported(model)))
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert api.http.get("/v1/jobs").json()["items"] == []


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("artifact.onnx", b"<html>", "unknown_format"),
        ("report.json", b"{}", "invalid_request"),
        ("report.json", b"\xff", "invalid_request"),
    ],
)
def test_files_have_to_be_what_they_are_called(
    api: Served, model: str, name: str, content: bytes, code: str
) -> None:
    files = {**NAMES, name: content}
    answer = send(api, exported(model, files), files)
    assert answer.json()["code"] == code, answer.text


@pytest.mark.parametrize("content", [b"no tar", b"\0" * 1024, packed({})[:100]])
def test_what_is_no_archive_is_refused(api: Served, content: bytes) -> None:
    answer = api.http.post("/v1/jobs/import", content=content)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request"), answer.text
