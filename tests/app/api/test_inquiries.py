"""Questions about a dataset, over real HTTP; the test plays the worker."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.facts import dataset_facts
from tests.support.served import Served
from winnow.contract.errors import Refusal


def answered(api: Served, id: str, answer: bytes) -> None:
    """What a worker does with a question that it can answer."""
    writer = api.parts.blobs.writer()
    writer.write(answer)
    sha256, _ = writer.commit()
    api.finish(id, state="ready", answer_sha256=sha256)


def id_of(location: str) -> str:
    return location.removeprefix("/v1/inquiries/")


def asked(api: Served, model: str, dataset: str) -> str:
    """Where the answer will be."""
    answer = api.http.post("/v1/datasets/propose", json={"model": model, "dataset": dataset})
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"])


def test_the_answer_is_where_location_leads(api: Served, model: str, dataset: str) -> None:
    location = asked(api, model, dataset)
    waiting = api.http.get(location)
    assert waiting.status_code == 202
    expected = {
        "id": id_of(location),
        "kind": "propose",
        "state": "inspecting",
        "model": model,
        "dataset": dataset,
        "job": None,
    }
    assert waiting.json() == expected
    answered(api, id_of(location), b'{"sure": true}')
    answer = api.http.get(location)
    assert (answer.status_code, answer.json()) == (200, {"sure": True})
    assert answer.headers["content-type"] == "application/json"


def test_a_worker_hears_of_it_once(api: Served, model: str, dataset: str) -> None:
    """Asked again it is the same question, whether it has its answer or not."""
    before = api.queue.length("inspect")
    location = asked(api, model, dataset)
    assert asked(api, model, dataset) == location
    assert api.queue.length("inspect") == before + 1
    answered(api, id_of(location), b"{}")
    again = api.http.post("/v1/datasets/propose", json={"model": model, "dataset": dataset})
    assert (again.status_code, again.headers["location"]) == (200, location)


def test_an_answer_may_be_waited_for(api: Served, model: str, dataset: str) -> None:
    location = asked(api, model, dataset)
    with ThreadPoolExecutor(1) as threads:
        later = threads.submit(api.http.get, f"{location}?wait=60", timeout=60)
        answered(api, id_of(location), b"{}")
        assert later.result().status_code == 200


def test_a_question_that_cannot_be_answered_ends_in_its_problem(
    api: Served, model: str, dataset: str
) -> None:
    location = asked(api, model, dataset)
    problem = Refusal("inputs_do_not_fit", "Nothing fits.").problem.model_dump(mode="json")
    api.finish(id_of(location), state="rejected", problem=problem)
    answer = api.http.get(location)
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (
        422,
        "inputs_do_not_fit",
        "Nothing fits.",
    )
    assert asked(api, model, dataset) == location  # asked again, it is tried again


def test_a_dataset_that_was_rejected_may_be_asked_about(api: Served, model: str, npz: bytes) -> None:
    id = api.http.post("/v1/datasets", content=npz).json()["id"]
    api.finish(
        id, state="rejected", problem=Refusal("invalid_declaration", "No.").problem.model_dump(mode="json")
    )
    asked(api, model, id)
    refused = api.http.get(f"/v1/datasets/{id}/preview", params={"model": model})
    assert (refused.status_code, refused.json()["code"]) == (409, "dataset_not_ready")


def test_another_declaration_is_another_preview(api: Served, model: str, dataset: str) -> None:
    address, params = f"/v1/datasets/{dataset}/preview", {"model": model, "rows": 2}
    first = api.http.get(address, params=params).headers["location"]
    assert api.http.get(address, params=params).headers["location"] == first
    assert api.http.get(address, params={**params, "rows": 3}).headers["location"] != first
    api.http.patch(f"/v1/datasets/{dataset}", json={"declaration": {"targets": {"array": "y"}}})
    api.inspected(dataset, dataset_facts().model_dump())
    assert api.http.get(address, params=params).headers["location"] != first


def test_it_goes_with_the_dataset(api: Served, model: str, dataset: str) -> None:
    location = asked(api, model, dataset)
    assert api.http.delete(f"/v1/datasets/{dataset}").status_code == 204
    gone = api.http.get(location)
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    assert "what it is about may have been deleted" in gone.json()["detail"]


@pytest.mark.parametrize("missing", ["model", "dataset"])
def test_what_is_not_there_is_named(api: Served, model: str, dataset: str, missing: str) -> None:
    body = {"model": model, "dataset": dataset, missing: "x"}
    answer = api.http.post("/v1/datasets/propose", json=body)
    assert (answer.status_code, answer.json()["field"]) == (404, missing)


@pytest.mark.parametrize(
    ("query", "field"), [("rows=4", "model"), ("model=m&rows=17", "rows"), ("model=m&rows=0", "rows")]
)
def test_a_preview_names_a_model_and_few_rows(api: Served, dataset: str, query: str, field: str) -> None:
    answer = api.http.get(f"/v1/datasets/{dataset}/preview?{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, field)
