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
from winnow.contract.report import Report

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


def search(
    model: str, trials: dict[str, Any], files: dict[str, bytes] | None = None
) -> tuple[Any, dict[str, bytes]]:
    """A search that succeeded, and its files: with `trial.json` of these trials, by number, and further files."""
    told = {f"trials/{number}/trial.json": json.dumps(trial).encode() for number, trial in trials.items()}
    files = {**NAMES, **told, **(files or {})}
    request = {
        "model": model,
        "recipe": {"steps": [{"kind": "weight_only", "bits": {"any_of": [8, 4]}}]},
        "search": {"budget": {"trials": 8}},
    }
    return exported(model, files, request=request), files


def a_trial(**changes: Any) -> dict[str, Any]:
    recipe = {"steps": [{"kind": "weight_only", "bits": 4}]}
    ended = {"state": "finished", "share": 1.0, "seconds": 2.5, "worker": "worker-1", "problem": None}
    return {"recipe": recipe, **ended, **changes}


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


def test_a_search_is_imported_with_its_trials_whose_numbers_are_those_of_their_reports(
    api: Served, model: str
) -> None:
    report = Report.model_validate_json(REPORT)
    made = {"trials/1/artifact.onnx": ONNX, "trials/1/report.json": REPORT}
    failed = a_trial(state="failed", problem=corpus()["Problem"][0])
    answer = send(
        api, *search(model, {"1": a_trial(), "12": failed, "3": a_trial(state="stopped_early")}, made)
    )
    assert answer.status_code == 201, answer.text
    job = api.http.get(answer.headers["location"]).json()
    assert job == answer.json()
    counts = {"waiting": 0, "running": 0, "finished": 1, "failed": 1, "stopped_early": 1}
    assert job["trials"] == counts
    path = f"/v1/jobs/{job['id']}/trials"
    first, third, twelfth = api.http.get(path).json()["items"]
    assert [it["number"] for it in (first, third, twelfth)] == [1, 3, 12]
    assert (first["size_bytes"], first["pareto"]) == (report.size_bytes.after, True)
    assert first["metrics"].keys() == {entry.metric for entry in report.quality}
    assert (first["seconds"], first["worker"]) == (2.5, "worker-1")
    assert (twelfth["problem"]["code"], third["artifact"]) == (failed["problem"]["code"], None)
    assert api.http.get(f"{path}/1/artifact").content == ONNX
    assert api.http.get(f"{path}/1/report?raw=true").content == REPORT
    assert api.http.get(f"{path}/12/artifact").json()["code"] == "no_artifact"
    study = api.parts.records.study(job["id"])
    assert study is not None
    assert study.state == "closed"
    assert api.queue.length("cpu") == 0
    assert api.http.delete(f"/v1/jobs/{job['id']}").status_code == 204


def changed(**changes: Any) -> bytes:
    """A report with other numbers."""
    return json.dumps({**json.loads(REPORT), **changes}).encode()


LATENCY = json.loads(REPORT)["latency"]
ARTIFACT_1 = {"trials/1/artifact.onnx": ONNX}
HOSTILE: dict[str, tuple[int, str, dict[str, Any], dict[str, bytes]]] = {
    "no trial": (422, "invalid_request", {}, {"trials/1/report.json": REPORT}),
    "a result without a report": (422, "invalid_request", {"1": a_trial()}, ARTIFACT_1),
    "a name that is none": (422, "invalid_request", {"01": a_trial()}, {}),
    "a name too many": (422, "invalid_request", {"1": a_trial()}, {"trials/1/passwd": b"x"}),
    "a way out": (422, "unsafe_archive", {"../1": a_trial()}, {}),
    "one that runs": (422, "invalid_request", {"1": a_trial(state="running")}, {}),
    "an open recipe": (
        422,
        "invalid_request",
        {"1": a_trial(recipe={"steps": [{"kind": "weight_only", "bits": {"any_of": [8, 4]}}]})},
        {},
    ),
    "another's model": (
        404,
        "not_found",
        {"1": a_trial(recipe={"steps": [{"kind": "distillation", "teacher": "mdl_of_another"}]})},
        {},
    ),
    "no number": (422, "invalid_request", {"1": a_trial(seconds=-1.0)}, {}),
    "no model": (
        415,
        "unknown_format",
        {"1": a_trial()},
        {"trials/1/artifact.onnx": b"<html>", "trials/1/report.json": REPORT},
    ),
    "no report": (422, "invalid_request", {"1": a_trial()}, {**ARTIFACT_1, "trials/1/report.json": b"{}"}),
    "a speed-up of nothing": (
        422,
        "invalid_request",
        {"1": a_trial()},
        {**ARTIFACT_1, "trials/1/report.json": changed(latency=[{**LATENCY[0], "speedup": 0.0}])},
    ),
    "a speed-up that is no number": (
        400,
        "malformed_request",
        {"1": a_trial()},
        {
            **ARTIFACT_1,
            "trials/1/report.json": changed(latency=[{**LATENCY[0], "speedup": float("nan")}]),
        },
    ),
    "a text that no database keeps": (
        422,
        "invalid_request",
        {"1": a_trial()},
        {
            **ARTIFACT_1,
            "trials/1/report.json": changed(
                requirements=[
                    {"name": "\0", "asked": 1, "measured": 1, "interval": None, "met": True, "why": None}
                ]
            ),
        },
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_trials_that_are_not_what_they_seem_are_refused(api: Served, model: str, what: str) -> None:
    status, code, trials, files = HOSTILE[what]
    answer = send(api, *search(model, trials, files))
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert api.http.get("/v1/jobs").json()["items"] == []


def test_a_recipe_that_leaves_nothing_open_has_no_trials(api: Served, model: str) -> None:
    job, files = search(model, {"1": a_trial()})
    answer = send(api, {**job, "request": exported(model)["request"]}, files)
    assert (answer.status_code, answer.json()["field"]) == (422, "files")


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
