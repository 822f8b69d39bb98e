"""What a model's graph computes, in pages."""

from typing import Any

from tests.app.api.conftest import ONNX
from tests.support.facts import model_facts
from tests.support.served import Served
from winnow.contract.graph_values import ValueKind, ValueKinds

KINDS = ValueKinds(
    kinds=[
        ValueKind(dtype="float32", shape=["N", 3, 8, 8], operator=None),
        ValueKind(dtype="float32", shape=["N", 10], operator="Gemm"),
    ],
    of=[0, 1, 1, 1],
)
NAMES = ["input", "/a/Gemm_output_0", "/b/Gemm_output_0", "logits"]


def inspected(api: Served, content: bytes = ONNX, **facts: Any) -> str:
    id = str(api.http.post("/v1/models", content=content).json()["id"])
    api.inspected(id, model_facts(**facts).model_dump())
    return f"/v1/models/{id}/values"


def test_values_come_in_the_order_of_the_graph_with_what_is_known_of_them(api: Served) -> None:
    items = api.http.get(inspected(api, values=NAMES, value_kinds=KINDS)).json()["items"]
    assert [item["name"] for item in items] == NAMES
    assert items[0] == {"name": "input", "dtype": "float32", "shape": ["N", 3, 8, 8], "operator": None}
    assert items[3] == {"name": "logits", "dtype": "float32", "shape": ["N", 10], "operator": "Gemm"}


def test_pages_follow_one_another_and_a_name_narrows_them_all(api: Served) -> None:
    url: str | None = inspected(api, values=NAMES, value_kinds=KINDS) + "?limit=1&name=*Gemm*"
    names = []
    while url is not None:
        page = api.http.get(url).json()
        names += [item["name"] for item in page["items"]]
        url = page["next"]
    assert names == NAMES[1:3]


def test_a_cursor_is_of_one_list_alone(api: Served) -> None:
    """Neither that of models, nor that of another model's values, nor the other way round."""
    listed = inspected(api, values=NAMES, value_kinds=KINDS)
    api.http.post("/v1/models", content=ONNX.replace(b"grap", b"GRAP"))
    pages = [api.http.get(address).json()["next"] for address in (f"{listed}?limit=1", "/v1/models?limit=1")]
    of_values, of_models = (page.partition("cursor=")[2] for page in pages)
    other = inspected(api, ONNX.replace(b"grap", b"none"), values=NAMES, value_kinds=KINDS)
    for address, cursor in ((listed, of_models), (other, of_values), ("/v1/models", of_values)):
        answer = api.http.get(address, params={"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert answer.json()["field"] == "cursor"
        assert "another list" in answer.json()["detail"]


def test_what_was_not_kept_is_told_with_the_reason(api: Served) -> None:
    too_many = api.http.get(inspected(api, operators={"Conv": 31_204}))
    assert (too_many.status_code, too_many.json()["code"]) == (404, "not_found")
    assert "31,204 nodes" in too_many.json()["detail"]


def test_values_of_a_model_that_an_earlier_version_inspected_are_not_listed(api: Served) -> None:
    answer = api.http.get(inspected(api, values=NAMES))
    assert answer.status_code == 404
    assert "upload it again" in answer.json()["detail"]


def test_a_model_that_is_still_inspected_has_none(api: Served) -> None:
    id = api.http.post("/v1/models", content=ONNX).json()["id"]
    answer = api.http.get(f"/v1/models/{id}/values")
    assert (answer.status_code, answer.json()["code"]) == (409, "model_not_ready")
