"""`?wait=SECONDS`, over real HTTP; the test plays the worker."""

from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any

import pytest

from app.api import waiting
from tests.support.facts import dataset_facts, model_facts
from tests.support.served import Served

JOB: dict[str, Any] = {"recipe": {"steps": [{"kind": "float16"}]}}


def test_an_upload_answers_when_it_is_inspected(api: Served, onnx: bytes) -> None:
    with ThreadPoolExecutor(1) as threads:
        later = threads.submit(api.http.post, "/v1/models?wait=60", content=onnx, timeout=60)
        while not (known := api.http.get("/v1/models").json()["items"]):
            pass
        api.inspected(known[0]["id"], model_facts().model_dump())
        answer = later.result()
    assert (answer.status_code, answer.json()["state"]) == (201, "ready")


def test_what_is_asked_for_answers_when_its_state_changes(api: Served, job: str) -> None:
    with ThreadPoolExecutor(1) as threads:
        later = threads.submit(api.http.get, f"/v1/jobs/{job}?wait=60", timeout=60)
        api.http.post(f"/v1/jobs/{job}/cancel")
        assert later.result().json()["state"] == "cancelled"


def test_a_new_declaration_answers_when_it_is_inspected(api: Served, dataset: str) -> None:
    new = {"declaration": {"targets": {"array": "y"}}}
    with ThreadPoolExecutor(1) as threads:
        later = threads.submit(api.http.patch, f"/v1/datasets/{dataset}?wait=60", json=new, timeout=60)
        while api.http.get(f"/v1/datasets/{dataset}").json()["state"] == "ready":
            pass
        api.inspected(dataset, dataset_facts().model_dump())
        answer = later.result().json()
    assert (answer["state"], answer["declaration"]["targets"]) == ("ready", {"array": "y"})


def test_without_a_change_the_answer_is_how_it_stands(api: Served, onnx: bytes, model: str) -> None:
    other = onnx.replace(b"grap", b"Grap")
    assert api.http.post("/v1/models?wait=1", content=other).json()["state"] == "inspecting"
    asked = api.http.post("/v1/jobs?wait=1", json=JOB | {"model": model})
    assert (asked.status_code, asked.json()["state"]) == (202, "queued")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/datasets"])
def test_what_is_settled_answers_at_once(api: Served, path: str, model: str, dataset: str) -> None:
    id = model if path == "/v1/models" else dataset
    assert api.http.get(f"{path}/{id}?wait=60", timeout=5).json()["state"] == "ready"


def test_what_is_deleted_meanwhile_is_not_found(api: Served, onnx: bytes) -> None:
    id = api.http.post("/v1/models", content=onnx).json()["id"]
    with ThreadPoolExecutor(1) as threads:
        later = threads.submit(api.http.get, f"/v1/models/{id}?wait=60", timeout=60)
        api.http.delete(f"/v1/models/{id}")
        assert later.result().status_code == 404


@pytest.mark.parametrize("seconds", ["61", "-1", "1.5", "soon", ""])
def test_only_whole_seconds_up_to_a_minute_are_taken(api: Served, seconds: str) -> None:
    problem = api.http.get(f"/v1/models/mdl_x?wait={seconds}").json()
    assert (problem["code"], problem["field"]) == ("invalid_request", "wait")


def test_beyond_so_many_that_wait_one_is_answered_at_once(
    api: Served, onnx: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_free_places", BoundedSemaphore(1))
    assert waiting._free_places.acquire()
    assert api.http.post("/v1/models?wait=60", content=onnx, timeout=5).json()["state"] == "inspecting"
