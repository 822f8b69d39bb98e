"""Pinned: kept however old it is."""

import pytest

from tests.support.served import Served


@pytest.mark.parametrize("kind", ["models", "datasets", "jobs"])
def test_what_is_pinned_says_so_and_changes_its_etag(
    api: Served, kind: str, model: str, dataset: str, job: str
) -> None:
    path = f"/v1/{kind}/{ {'models': model, 'datasets': dataset, 'jobs': job}[kind] }"
    before = api.http.get(path)
    assert before.json()["pinned"] is False
    for pinned in (True, True, False):
        changed = api.http.patch(path, json={"pinned": pinned})
        assert (changed.status_code, changed.json()["pinned"]) == (200, pinned)
        now = api.http.get(path)
        assert now.json()["pinned"] is pinned
        assert (now.headers["etag"] == before.headers["etag"]) is (not pinned)
    assert {**before.json(), "pinned": True} == {**now.json(), "pinned": True}


@pytest.mark.parametrize("path", ["/v1/models/mdl_x", "/v1/datasets/dst_x", "/v1/jobs/job_x"])
def test_what_is_not_there_cannot_be_pinned(api: Served, path: str) -> None:
    answer = api.http.patch(path, json={"pinned": True})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("body", [{}, {"pinned": "yes"}, {"pinned": 1}, {"pinned": True, "name": "x"}])
def test_what_is_no_pin_is_refused(api: Served, model: str, body: object) -> None:
    answer = api.http.patch(f"/v1/models/{model}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_a_dataset_is_pinned_without_being_inspected_again(api: Served, dataset: str) -> None:
    answer = api.http.patch(f"/v1/datasets/{dataset}", json={"pinned": True})
    assert answer.json()["state"] == "ready"
    again = api.http.patch(f"/v1/datasets/{dataset}", json={"declaration": {}, "pinned": False})
    assert (again.json()["state"], again.json()["pinned"]) == ("inspecting", False)
