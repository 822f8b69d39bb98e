"""A student is recorded as a model that is being made, once for the same settings."""

from typing import Any, get_args

import httpx

from tests.app.api.conftest import ONNX
from tests.support.facts import model_facts
from tests.support.served import Served
from winnow.contract.model import ModelFormat

MADE = b"what the worker made"


def parent(api: Served, content: bytes = ONNX, **facts: Any) -> str:
    id = str(api.http.post("/v1/models", content=content, params={"name": "mine.onnx"}).json()["id"])
    api.inspected(id, model_facts(**facts).model_dump())
    return id


def asked(api: Served, id: str, **settings: Any) -> httpx.Response:
    return api.http.post(f"/v1/models/{id}/students", json=settings)


def finished(api: Served, id: str) -> None:
    """As a worker would."""
    writer = api.parts.blobs.writer()
    writer.write(MADE)
    made, size = writer.commit()
    api.finish(id, state="ready", facts=model_facts().model_dump(), converted=made, size_bytes=size)


def test_it_is_a_model_of_its_own_that_is_being_made(api: Served) -> None:
    id = parent(api)
    answer = asked(api, id, init="fresh", seed=7)
    model = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/models/{model['id']}"
    assert (model["state"], model["parent"], model["name"]) == ("inspecting", id, "mine")
    assert model["id"] != id
    record = api.parts.records.upload("local", "model", model["id"])
    assert record is not None
    assert record.declaration["seed"] == 7
    assert record.format not in get_args(ModelFormat), (
        "a worker of an older version would take it for an upload"
    )
    assert model["format"] == "onnx"
    assert api.http.get(f"/v1/models/{id}").json()["parent"] is None


def test_when_it_is_made_its_bytes_are_its_own_and_no_longer_its_parents(api: Served) -> None:
    id = asked(api, parent(api), init="fresh").json()["id"]
    early = api.http.get(f"/v1/models/{id}/content")
    assert (early.status_code, early.json()["code"]) == (409, "model_not_ready")
    finished(api, id)
    model = api.http.get(f"/v1/models/{id}").json()
    content = api.http.get(f"/v1/models/{id}/content")
    assert content.content == MADE
    assert model["size_bytes"] == len(MADE)
    assert content.headers["etag"].strip('"') == model["sha256"]


def test_the_same_student_is_made_once_and_another_seed_is_another(api: Served) -> None:
    id = parent(api)
    first = asked(api, id, init="fresh", seed=1)
    assert asked(api, id, init="fresh", seed=1).json()["id"] == first.json()["id"]
    assert asked(api, id, init="fresh", seed=2).json()["id"] != first.json()["id"]
    finished(api, first.json()["id"])
    again = asked(api, id, init="fresh", seed=1)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


def test_what_cannot_be_made_is_refused_with_the_field(api: Served) -> None:
    id = parent(api, blocks=[])
    deep = asked(api, id, depth=0.5)
    assert (deep.status_code, deep.json()["code"], deep.json()["field"]) == (
        422,
        "nothing_to_compress",
        "depth",
    )
    slow = asked(api, id, target="latency", amount=0.5)
    assert (slow.status_code, slow.json()["code"]) == (422, "invalid_request")
    assert asked(api, id, widht=0.5).json()["errors"][0]["path"] == "widht"


def test_patterns_name_layers_and_are_not_too_many_to_compare(api: Served) -> None:
    id = parent(api)
    wrong = asked(api, id, init="fresh", exclude=["nowhere*"]).json()
    assert (wrong["code"], wrong["errors"][0]["path"]) == ("pattern_matches_nothing", "exclude.0")
    long = [
        layer.model_dump() | {"name": f"{'a' * 150}{n}"}
        for n, layer in enumerate(model_facts().layers * 9999)
    ]
    large = parent(api, ONNX.replace(b"grap", b"GRAP"), layers=long)
    slow = asked(api, large, init="fresh", exclude=[f"*{'?' * 190}{n}*" for n in range(99)]).json()
    assert (slow["code"], slow["field"]) == ("invalid_request", "exclude")


def test_a_model_that_cannot_learn_has_none(api: Served) -> None:
    assert asked(api, parent(api, quantized=True), init="fresh").json()["code"] == "already_quantized"


def test_a_parent_that_is_still_inspected_has_none(api: Served) -> None:
    id = api.http.post("/v1/models", content=ONNX).json()["id"]
    assert asked(api, id).json()["code"] == "model_not_ready"


def test_a_student_can_be_a_parent_and_outlives_its_own(api: Served) -> None:
    id = parent(api)
    child = asked(api, id, init="fresh").json()["id"]
    finished(api, child)
    assert api.http.delete(f"/v1/models/{id}").status_code == 204
    assert api.http.get(f"/v1/models/{child}").json()["parent"] == id
    grandchild = asked(api, child, init="fresh")
    assert (grandchild.status_code, grandchild.json()["parent"]) == (202, child)
