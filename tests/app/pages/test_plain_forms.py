"""What forms send without scripts, and what somebody sends in their place."""

import json
from typing import Any

import httpx
import pytest

from app.api.limits import MOST
from tests.app.api.conftest import zipped
from tests.support.served import Served

HTML = {"Accept": "text/html"}
HALF = {"way": "recipe", "recipe": json.dumps({"steps": [{"kind": "float16"}]})}


def sent(api: Served, model: str, **fields: str) -> httpx.Response:
    return api.http.post(f"/models/{model}/compress", headers=HTML, data={**HALF, **fields})


def asked(api: Served, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 303, answer.text
    job = api.parts.records.job("local", answer.headers["location"].rpartition("/")[2])
    assert job is not None
    return job.request


@pytest.mark.parametrize("kind", ["models", "datasets"])
def test_an_upload_may_be_larger_than_what_is_held_in_memory(api: Served, kind: str) -> None:
    graph = b"\x08\x0a\x3a\x80\x80\x80\x01" + bytes(2**21)
    content = graph if kind == "models" else zipped({"x.npy": bytes(2 * MOST)})
    answer = api.http.post(f"/{kind}", headers=HTML, files={"file": ("large", content)})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"./{kind}/")


def test_a_form_that_is_sent_twice_starts_one_job(api: Served, model: str) -> None:
    first, again = (sent(api, model, key="0123456789abcdef") for _ in range(2))
    assert first.headers["location"] == again.headers["location"]


@pytest.mark.parametrize("key", ["a\0b", "x" * 201, "é", "a b", "a\n"])
def test_a_key_that_no_store_keeps_is_refused(api: Served, model: str, key: str) -> None:
    answer = sent(api, model, key=key)
    assert (answer.status_code, "key" in answer.text) == (422, True)


@pytest.mark.parametrize(
    ("text", "number"), [("1.5", 1.5), (".5", 0.5), ("2", 2), ("15e-1", 1.5), ("2.0", 2), (" 3 ", 3)]
)
def test_numbers_are_those_of_html(api: Served, model: str, text: str, number: float) -> None:
    assert asked(api, sent(api, model, min_speedup=text))["require"]["min_speedup"] == number


def test_where_it_will_run_is_asked_for_with_precision_and_features(api: Served, model: str) -> None:
    features = {f"target_features.{name}": name for name in ("avx512_bf16", "avx2")}
    request = asked(api, sent(api, model, target="openvino-cpu", precision="bf16", **features))
    assert (request["target"], request["precision"]) == ("openvino-cpu", "bf16")
    assert request["target_features"] == ["avx2", "avx512_bf16"]


def test_what_the_target_does_not_compute_in_is_refused_with_what_to_do(api: Served, model: str) -> None:
    answer = sent(api, model, target="onnxruntime-cpu", precision="bf16")
    assert (answer.status_code, "ask for the target openvino-cpu" in answer.text) == (422, True)


@pytest.mark.parametrize("text", ["1,5", "NaN", "true", "1.", "[" * 50_000, "9" * 5_000, "1e999", "inf"])
def test_what_is_no_number_is_refused(api: Served, model: str, text: str) -> None:
    answer = api.http.post(
        f"/models/{model}/compress",
        headers={**HTML, "Content-Type": "application/x-www-form-urlencoded"},
        content=f"way=recipe&recipe={HALF['recipe']}&min_speedup={text}",
    )
    assert answer.status_code in (400, 422)
    assert "min_speedup" in answer.text
