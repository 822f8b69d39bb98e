"""Pages that stay small, whatever the rows hold."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest

from app.api.pages import MAX_WEIGHT, VALUE_CHARACTERS
from tests.app.api.conftest import ONNX
from tests.support.facts import model_facts, tensor
from tests.support.served import Served
from winnow.contract.model import Layer


def upload(api: Served, count: int, **facts: Any) -> list[str]:
    ids = []
    for number in range(count):
        content = ONNX.replace(b"grap", f"{number:04}".encode())
        ids.append(str(api.http.post("/v1/models", content=content).json()["id"]))
        api.inspected(ids[-1], model_facts(**facts).model_dump())
    return ids


def pages(get: Callable[..., Any], address: str) -> list[list[str]]:
    found = []
    while address:
        page = get(address).json()
        found.append([item["id"] for item in page["items"]])
        address = page["next"]
    return found


def test_a_page_of_small_rows_is_as_long_as_asked(api: Served) -> None:
    ids = upload(api, 25)
    assert [len(page) for page in pages(api.http.get, "/v1/models?limit=12")] == [12, 12, 1]
    assert [len(page) for page in pages(api.http.get, "/v1/models?limit=25")] == [25]
    assert [len(page) for page in pages(api.http.get, "/v1/models?limit=200")] == [25]
    assert sorted(chain.from_iterable(pages(api.http.get, "/v1/models?limit=7"))) == sorted(ids)


def test_a_page_of_large_rows_is_shorter_and_nothing_is_left_out(api: Served) -> None:
    layers = [Layer(name=f"/layer{i}", op="Conv", weight=[8, 8], macs=1) for i in range(MAX_WEIGHT // 100)]
    ids = upload(api, 25, layers=layers)  # each layer has several values
    found = pages(api.http.get, "/v1/models?limit=200")
    assert [len(page) for page in found] == [19, 6]
    assert sorted(chain.from_iterable(found)) == sorted(ids)


LONG = "n" * (MAX_WEIGHT * VALUE_CHARACTERS // 15)


@pytest.mark.parametrize(
    "facts", [{"inputs": [tensor(LONG, 1)]}, {"outputs": [tensor("y", LONG)]}, {"operators": {LONG: 1}}]
)
def test_a_page_of_long_texts_is_shorter(api: Served, facts: dict[str, Any]) -> None:
    upload(api, 25, **facts)
    assert [len(page) for page in pages(api.http.get, "/v1/models?limit=200")] == [19, 6]
