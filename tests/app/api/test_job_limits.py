"""The operator's maximum for a job's limits: told, refused beyond, and what is left out is lowered to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.storage.records import LOCAL_OWNER
from tests.app.api.conftest import ONNX
from tests.support.facts import model_facts
from tests.support.served import Served, served
from winnow.client import Client
from winnow.contract.job import MAX_MEMORY_BYTES, JobRequest

GIB = 2**30


@pytest.fixture
def bounded(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, max_job_seconds=600, max_job_memory_bytes=2 * GIB) as api:
        yield api


def ready(api: Served) -> str:
    id = str(api.http.post("/v1/models", content=ONNX).json()["id"])
    api.inspected(id, model_facts().model_dump())
    return id


def ask(api: Served, model: str, key: str = "", **limits: Any) -> Any:
    request = {"model": model, "recipe": {"steps": [{"kind": "float16"}]}}
    headers = {"idempotency-key": key} if key else {}
    body = request | ({"limits": limits} if limits else {})
    return api.http.post("/v1/jobs", json=body, headers=headers)


def test_they_are_told(bounded: Served) -> None:
    told = bounded.http.get("/v1/limits").json()
    assert told["seconds"] == {"default": 600, "maximum": 600}
    assert told["memory_bytes"] == {"default": 2 * GIB, "maximum": 2 * GIB}
    assert told["max_upload_bytes"] == bounded.parts.settings.max_upload_bytes


def test_without_a_maximum_the_contract_has_one(api: Served) -> None:
    told = api.http.get("/v1/limits").json()
    assert told["seconds"] == {"default": 3600, "maximum": 7 * 86400}
    assert told["memory_bytes"] == {"default": 8 * GIB, "maximum": MAX_MEMORY_BYTES}


@pytest.mark.parametrize(("field", "most"), [("seconds", 600), ("memory_bytes", 2 * GIB)])
def test_more_is_refused_with_what_is_allowed(bounded: Served, field: str, most: int) -> None:
    model = ready(bounded)
    answer = ask(bounded, model, **{field: most + 1})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_request")
    assert problem["field"] == f"limits.{field}"
    assert str(most) in problem["detail"]
    assert "WINNOW_MAX_JOB" in problem["detail"]
    assert ask(bounded, model, **{field: most}).status_code == 202


def test_the_client_asks_for_no_limit_that_nobody_asked_for(bounded: Served) -> None:
    request = {"model": ready(bounded), "recipe": {"steps": [{"kind": "float16"}]}, "limits": {"seconds": 60}}
    with Client(str(bounded.http.base_url)) as client:
        job = client.submit(JobRequest.model_validate(request))
    assert job.limits.model_dump() == {"seconds": 60, "memory_bytes": 2 * GIB}


def test_it_is_told_among_the_other_faults(bounded: Served) -> None:
    recipe = {"steps": [{"kind": "int8_static"}]}
    limits = {"seconds": 601, "memory_bytes": 3 * GIB}
    body = {"model": ready(bounded), "recipe": recipe, "limits": limits}
    errors = bounded.http.post("/v1/jobs", json=body).json()["errors"]
    paths = [error["path"] for error in errors]
    assert paths[:2] == ["limits.seconds", "limits.memory_bytes"]
    assert "data.calibration" in paths


@pytest.mark.parametrize("limits", [{}, {"seconds": 60}])
def test_what_is_left_out_is_lowered_to_it(bounded: Served, limits: dict[str, int]) -> None:
    answer = ask(bounded, ready(bounded), key="one", **limits)
    expected = {"seconds": 600, "memory_bytes": 2 * GIB} | limits
    assert (answer.status_code, answer.json()["limits"]) == (202, expected)
    stored = bounded.parts.records.job(LOCAL_OWNER, answer.json()["id"])
    assert stored is not None
    assert stored.request["limits"] == expected
    again = ask(bounded, stored.model, key="one", **limits)
    assert again.json()["id"] == stored.id, "the key belongs to what was sent, not to what became of it"


@pytest.mark.parametrize("value", [2**63 - 1, 2**63, 2**64, 10**30, MAX_MEMORY_BYTES + 1, 0, -1])
def test_no_number_gets_further_than_the_request(api: Served, value: int) -> None:
    answer = ask(api, ready(api), memory_bytes=value)
    assert (answer.status_code, answer.json()["field"]) == (422, "limits.memory_bytes")
