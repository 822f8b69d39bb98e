"""Who did what: an entry for each request of somebody known that changes something, whatever became of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.storage.memory import MemoryRecords
from app.storage.records import Audited
from tests.app.api.conftest import ONNX
from tests.support.facts import model_facts
from tests.support.owners import a_key_of, also, ask, bearer, served_to
from tests.support.served import Served, served


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served_to("ada", tmp_path) as running:
        yield running


def entries(api: Served, **params: Any) -> list[dict[str, Any]]:
    answer = api.http.get("/v1/audit", params=params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def test_what_changes_something_is_kept_with_who_did_it(api: Served) -> None:
    with also(api, "bob", ["read", "write"]) as bob:
        made = bob.post("/v1/models", content=ONNX, headers={"X-Request-Id": "mine"})
        bob.get("/v1/models")
        bob.delete(f"/v1/models/{made.json()['id']}")
        bob.delete("/v1/models/mdl_none")
        bob.post("/v1/keys", json={"name": "x", "owner": "bob"})
        bob.post("/v1/jobs", json={})
    shown = [(it["method"], it["route"], it["object"], it["status"]) for it in entries(api)]
    assert shown == [
        ("POST", "/v1/jobs", None, 422),
        ("POST", "/v1/keys", None, 403),
        ("DELETE", "/v1/models/{id}", "mdl_none", 404),
        ("DELETE", "/v1/models/{id}", made.json()["id"], 204),
        ("POST", "/v1/models", made.json()["id"], 201),
    ]
    last = entries(api)[-1]
    assert (last["owner"], last["request_id"]) == ("bob", "mine")
    [key] = [key["id"] for key in api.http.get("/v1/keys").json()["items"] if key["owner"] == "bob"]
    assert {it["key"] for it in entries(api)} == {key}


@pytest.mark.parametrize("sent", ["form", "students"])
def test_what_is_made_of_a_model_is_named_in_place_of_the_model(api: Served, sent: str) -> None:
    model = str(api.http.post("/v1/models", content=ONNX).json()["id"])
    api.inspected(model, model_facts().model_dump())
    if sent == "form":
        fields = {"way": "recipe", "recipe": '{"steps": [{"kind": "float16"}]}'}
        answer = api.http.post(f"/models/{model}/compress", headers={"Accept": "text/html"}, data=fields)
    else:
        answer = api.http.post(f"/v1/models/{model}/students", json={"init": "fresh"})
    made = answer.headers["location"].rpartition("/")[2]
    assert entries(api)[0]["object"] == made != model


def test_an_id_that_no_database_keeps_is_left_out(api: Served) -> None:
    assert api.http.delete("/v1/models/%00").status_code == 422
    assert api.http.delete("/v1/models/" + "x" * 5000).status_code == 404
    assert [it["object"] for it in entries(api)] == ["x" * 200, None]


def test_strangers_leave_no_entry(api: Served) -> None:
    ask(api, "POST", "/v1/models", content=ONNX)
    ask(api, "POST", "/v1/models", content=ONNX, headers=bearer("winnow_wrong"))
    assert entries(api) == []


def test_a_sessions_entries_are_its_keys(api: Served) -> None:
    key = a_key_of(api, "bob")
    cookies = ask(api, "POST", "/v1/session", headers=bearer(key)).cookies
    ask(api, "POST", "/v1/models", content=ONNX, cookies=cookies, headers={"Origin": api.url})
    assert len({it["key"] for it in entries(api)}) == 1
    assert [it["route"] for it in entries(api)] == ["/v1/models", "/v1/session"]


def test_entries_come_in_pages(api: Served) -> None:
    for number in range(5):
        api.http.delete(f"/v1/models/mdl_{number}")
    seen, address = [], "/v1/audit?limit=2"
    while address:
        page = api.http.get(address).json()
        seen += [it["object"] for it in page["items"]]
        address = page["next"]
    assert seen == [f"mdl_{number}" for number in (4, 3, 2, 1, 0)]


def test_where_nobody_is_asked_there_is_nobody_to_name(tmp_path: Path) -> None:
    with served(tmp_path) as api:
        api.http.post("/v1/models", content=ONNX)
        assert entries(api) == []


def test_what_cannot_be_kept_is_in_the_log_and_the_answer_is_given(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Forgetful(MemoryRecords):
        def add_audited(self, entry: Audited) -> None:
            raise OSError("away")

    with served_to("ada", tmp_path, records=Forgetful()) as api:
        assert api.http.post("/v1/models", content=ONNX).status_code == 201
    assert "could not be kept" in caplog.text
    assert "/v1/models" in caplog.text
