"""What a route does not name is refused, wherever it stands; every fault is told at once."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api import datasets, strict
from app.api.form import MAX_FIELDS_BYTES
from app.api.strict import StrictRoute
from app.main import create_app
from app.queue import MemoryQueue
from app.settings import Settings
from app.storage.memory import MemoryRecords
from app.storage.memory_blobs import MemoryBlobs
from tests.app.api.conftest import ONNX, zipped
from tests.support.facts import dataset_facts, model_facts
from tests.support.served import Served
from winnow.contract.strict_json import read_model

HALF: dict[str, Any] = {"steps": [{"kind": "float16"}]}
APP = create_app(Settings(), MemoryRecords(), MemoryBlobs(), MemoryQueue())
ADDRESSES = sorted(
    {
        (method, context.path)
        for context in iter_route_contexts(APP.routes)
        if context.path is not None
        for method in context.methods or ()
    }
)
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def paths(answer: httpx.Response) -> list[str]:
    told = answer.json()
    assert told["field"] == (told["errors"][0]["path"] or None)
    return [error["path"] for error in told["errors"]]


def filled(path: str, ids: dict[str, str]) -> str:
    known = next((id for start, id in ids.items() if path.startswith(start)), "x")
    return path.replace("{id}", known).replace("{what}", "report")


@pytest.fixture(scope="module")
def known(server: Served, tmp_path_factory: pytest.TempPathFactory) -> tuple[Served, dict[str, str]]:
    """An API with a model, a dataset and a job, and their ids by the beginning of their addresses."""
    api = server.emptied(tmp_path_factory.mktemp("known"))
    model = str(api.http.post("/v1/models", content=ONNX).json()["id"])
    api.inspected(model, model_facts().model_dump())
    dataset = str(api.http.post("/v1/datasets", content=zipped({"x.npy": b"numbers"})).json()["id"])
    api.inspected(dataset, dataset_facts().model_dump())
    job = str(api.http.post("/v1/jobs", json={"model": model, "recipe": HALF}).json()["id"])
    return api, {"/v1/models": model, "/v1/datasets": dataset, "/v1/jobs": job}


@pytest.fixture
def refusing(known: tuple[Served, dict[str, str]]) -> Served:
    """For what is refused, and so changes nothing."""
    return known[0].back()


@pytest.fixture
def ids(known: tuple[Served, dict[str, str]]) -> dict[str, str]:
    return known[1]


def test_every_route_is_strict() -> None:
    assert all(isinstance(context.original_route, StrictRoute) for context in iter_route_contexts(APP.routes))


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
def test_a_parameter_that_no_address_takes_is_refused_everywhere(
    refusing: Served, ids: dict[str, str], method: str, path: str
) -> None:
    version = {"Tus-Resumable": "1.0.0"}  # without it uploads in parts look no further
    answer = refusing.http.request(method, f"{filled(path, ids)}?nonsense=1", headers=version)
    assert answer.status_code == 422
    if method != "HEAD":
        assert answer.json()["code"] == "invalid_request"
        assert "nonsense" in paths(answer)


def test_a_parameter_that_is_written_wrongly_is_told_with_the_right_one(api: Served) -> None:
    answer = api.http.get("/v1/jobs?statee=failed&limit=0&cursor=&tag=a:b&model=x&model=y")
    assert paths(answer) == ["statee", "cursor", "model", "limit"]
    assert "Did you mean state?" in answer.json()["errors"][0]["detail"]
    assert "state, model, tag, since, until, limit, cursor" in answer.json()["detail"]


def numbers() -> Iterator[tuple[str, str]]:
    """Each documented path, with what it requires besides, and the names of its numbers."""
    for context in iter_route_contexts(APP.routes):
        route = context.original_route
        if isinstance(route, StrictRoute) and route.include_in_schema and "GET" in (context.methods or ()):
            for query in route.queries:
                if query.field_info.annotation is int:
                    yield f"{context.path}?{required_of(route, besides=query.alias)}", query.alias


def required_of(route: StrictRoute, besides: str) -> str:
    return "".join(
        f"{query.alias}={query.field_info.examples[0]}&"
        for query in route.queries
        if query.field_info.is_required() and query.alias != besides
    )


NO_NUMBERS = ["1.0", "1e0", "+1", "%201", "1_0", "0x1", "%D9%A3", "true", "null", "1,2", ""]


@pytest.mark.parametrize(("path", "name"), [*numbers()])
def test_a_number_in_an_address_is_decimal_digits(
    refusing: Served, ids: dict[str, str], path: str, name: str
) -> None:
    for text in NO_NUMBERS:
        answer = refusing.http.get(f"{filled(path, ids)}{name}={text}")
        assert (text, answer.status_code, paths(answer)) == (text, 422, [name])


@pytest.mark.parametrize("text", ["5", "1e9", "-1", "2026", "today", "12:00", "2026-01-31T12:00:00 02:00"])
def test_a_time_in_an_address_is_a_date(api: Served, text: str) -> None:
    answer = api.http.get("/v1/jobs", params={"since": text})
    assert (answer.status_code, paths(answer)) == (422, ["since"])


WRONG_TYPES: list[tuple[dict[str, Any], str]] = [
    ({"seed": "3"}, "seed"),
    ({"seed": 3.0}, "seed"),
    ({"seed": True}, "seed"),
    ({"model": 3}, "model"),
    ({"name": 3}, "name"),
    ({"tags": {"a": 1}}, "tags.a"),
    ({"recipe": {"steps": [{"kind": "float16", "keep_io_types": "yes"}]}}, "recipe.steps.0.keep_io_types"),
    ({"recipe": {"steps": [{"kind": "float16", "keep_io_types": 1}]}}, "recipe.steps.0.keep_io_types"),
    ({"recipe": {"steps": [{"kind": "int8_static", "percentile": "99"}]}}, "recipe.steps.0.percentile"),
    ({"recipe": {"steps": [{"kind": "int8_static", "weight_bits": "8"}]}}, "recipe.steps.0.weight_bits"),
    ({"recipe": {"steps": [{"kind": "int8_static", "weight_bits": 8.0}]}}, "recipe.steps.0.weight_bits"),
    ({"require": {"min_speedup": True}}, "require.min_speedup"),
    ({"benchmark": {"shapes": {"x": ["1"]}}}, "benchmark.shapes.x.0"),
    ({"benchmark": {"batch_sizes": 1}}, "benchmark.batch_sizes"),
    ({"data": {"evaluation": {"dataset": "d", "slice": "01"}}}, "data.evaluation.slice"),
    ({"data": []}, "data"),
]


@pytest.mark.parametrize(("change", "field"), WRONG_TYPES)
def test_json_of_another_type_is_refused(api: Served, model: str, change: dict[str, Any], field: str) -> None:
    answer = api.http.post("/v1/jobs", json={"model": model, "recipe": HALF} | change)
    assert (answer.status_code, paths(answer)) == (422, [field])


def test_every_fault_of_a_body_and_its_address_is_told(api: Served) -> None:
    body = {"model": 3, "recipe": {"steps": [{"kind": "magic"}, {"kind": "float16", "bits": 4}]}, "sed": 1}
    answer = api.http.post("/v1/jobs?dry=1", json=body)
    expected = ["dry", "model", "recipe.steps.0.kind", "recipe.steps.1.bits", "sed"]
    assert (answer.status_code, paths(answer)) == (422, expected)


def test_admission_tells_every_fault_that_follows_from_no_other(
    api: Served, model: str, dataset: str
) -> None:
    request = {
        "model": model,
        "recipe": {
            "steps": [
                {"kind": "float16", "exclude": ["/head/*", "/nothing/*", "/none/*"]},
                {"kind": "finetune"},
            ]
        },
        "data": {
            "calibration": {"dataset": dataset, "map": {"nothing": "x"}},
            "evaluation": {"dataset": "dst_none"},
        },
        "evaluation": {"metric": "top1", "output": "nothing"},
    }
    assert paths(api.http.post("/v1/jobs", json=request)) == [
        "data.evaluation.dataset",
        "recipe.steps.1.kind",
        "recipe.steps.0.exclude.1",
        "recipe.steps.0.exclude.2",
        "data.training",
        "evaluation.output",
        "data.calibration.map.nothing",
    ]


def test_faults_without_end_are_counted(api: Served, model: str) -> None:
    request = {"model": model, "recipe": HALF, **{f"unknown{n}": n for n in range(250)}}
    answer = api.http.post("/v1/jobs", json=request)
    assert len(answer.json()["errors"]) == 100
    assert answer.json()["detail"].endswith("And more than 95 more.")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/merge-patch+json",
        "text/json",
        "application/x-www-form-urlencoded",
        "",
    ],
)
def test_a_body_says_that_it_is_json_in_utf_8(api: Served, content_type: str) -> None:
    content = json.dumps({"model": "m", "recipe": HALF})
    answer = api.http.post("/v1/jobs", content=content, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["field"]) == (415, "content-type")


@pytest.mark.parametrize("content_type", ["application/json", 'Application/JSON; charset="UTF-8"'])
def test_json_is_taken_however_its_type_is_written(api: Served, model: str, content_type: str) -> None:
    content = json.dumps({"model": model, "recipe": HALF})
    answer = api.http.post("/v1/jobs", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == 202


def test_a_body_where_none_is_taken_is_refused(api: Served, job: str) -> None:
    answer = api.http.post(f"/v1/jobs/{job}/cancel", json={"force": True})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert api.http.get(f"/v1/jobs/{job}").json()["state"] == "queued"


def test_json_is_not_read_on_the_event_loop(
    api: Served, model: str, npz: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all requests wait: 50,000 unknown keys take 0.4 s."""
    threads: list[str] = []

    def noted(*asked: Any) -> Any:
        threads.append(threading.current_thread().name)
        return read_model(*asked)

    monkeypatch.setattr(strict, "read_model", noted)
    monkeypatch.setattr(datasets, "read_model", noted)
    assert api.http.post("/v1/jobs", json={"model": model, "recipe": HALF}).status_code == 202
    form = [("declaration", (None, "{}")), ("file", ("data.npz", npz))]
    for parts in (form, form[::-1]):
        assert api.http.post("/v1/datasets", files=parts).is_success  # type: ignore[arg-type]
    assert api.http.post("/v1/datasets?declaration={}", content=npz).is_success
    assert len(threads) > 4
    assert all(name.startswith("AnyIO worker") for name in threads)


def test_a_header_that_is_taken_once_is_sent_once(api: Served, model: str) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = api.http.post("/v1/jobs", json={"model": model, "recipe": HALF}, headers=headers)
    assert (answer.status_code, paths(answer)) == (422, ["idempotency-key"])


FORMS: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/models", {"declaration": (None, "{}")}, "declaration"),
    ("/v1/models", {"format": (None, "onxx")}, "format"),
    ("/v1/models", {"name": (None, "")}, "name"),
    ("/v1/models", {"input": (None, "x")}, "input"),
    ("/v1/models", {"modle": ("m.onnx", b"x")}, "modle"),
    ("/v1/datasets", {"format": (None, "auto")}, "format"),
    ("/v1/datasets", {"input": (None, "x:float32[1]")}, "input"),
    ("/v1/datasets", {"declaration": (None, "")}, "declaration"),
    ("/v1/datasets", {"declaration": (None, '{"inputz": {}}')}, "declaration.inputz"),
    ("/v1/datasets", {"declaration": (None, '{"constants": {"a": "1"}}')}, "declaration.constants.a"),
]


@pytest.mark.parametrize(("path", "part", "field"), FORMS)
def test_a_form_takes_the_fields_of_its_address_and_no_others(
    api: Served, onnx: bytes, npz: bytes, path: str, part: dict[str, Any], field: str
) -> None:
    files = {**part, "file": ("f", onnx if path == "/v1/models" else npz)}
    answer = api.http.post(path, files=files)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_every_fault_of_a_form_is_told(api: Served, onnx: bytes) -> None:
    files = {"nmae": (None, "x"), "format": (None, "onxx"), "name": (None, ""), "file": ("f", onnx)}
    answer = api.http.post("/v1/models", files=files)
    assert (answer.status_code, sorted(paths(answer))) == (422, ["format", "name", "nmae"])


def test_what_needs_no_file_is_told_together(api: Served) -> None:
    """Also where no file comes: the content of fields, and fields that do not go together."""
    fields = [("format", "onnx"), ("input", "x"), ("input", "y:float33[1]"), ("nmae", "z")]
    files: Any = [(name, (None, text)) for name, text in fields]
    answer = api.http.post("/v1/models", files=files)
    assert (answer.status_code, paths(answer)) == (422, ["nmae", "input", "input", "input", "file"])
    fields = [("declaration", '{"inputz": {}, "augment": 1}'), ("name", "")]
    answer = api.http.post("/v1/datasets", files=[(name, (None, text)) for name, text in fields])
    assert (answer.status_code, paths(answer)) == (
        422,
        ["name", "declaration.augment", "declaration.inputz", "file"],
    )


@pytest.mark.parametrize("address", ["/v1/models?input=x", "/v1/datasets?declaration=%7B"])
def test_what_an_address_says_is_judged_before_the_body(api: Served, address: str) -> None:
    """The answer comes although the body never does."""
    url = api.http.base_url
    head = f"POST {address} HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: {2**30}\r\n\r\n"
    with socket.create_connection((url.host, url.port), timeout=20) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize("values", [["a", "b"], ["a", "a"]])
def test_a_field_is_given_once_in_form_and_address_together(
    api: Served, onnx: bytes, values: list[str]
) -> None:
    files = {"name": (None, values[0]), "file": ("f", onnx)}
    answer = api.http.post("/v1/models", params={"name": values[1]}, files=files)
    assert (answer.status_code, paths(answer)) == (422, ["name"])


def test_what_a_form_refuses_before_its_file_is_not_waited_for(api: Served) -> None:
    """The answer comes although the file never does."""
    form = b'--b\r\nContent-Disposition: form-data; name="nmae"\r\n\r\nx\r\n'
    form += b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    url = api.http.base_url
    head = f"POST /v1/models HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: {2**30}\r\n"
    with socket.create_connection((url.host, url.port), timeout=20) as connection:
        connection.sendall(f"{head}Content-Type: multipart/form-data; boundary=b\r\n\r\n".encode() + form)
        assert connection.recv(100).startswith(b"HTTP/1.1 422 ")


@pytest.mark.parametrize("content", [b"\xff" * 10, b"x" * (MAX_FIELDS_BYTES + 1)])
def test_a_file_in_another_field_is_told_where_it_goes(api: Served, content: bytes) -> None:
    answer = api.http.post("/v1/models", files={"model": ("m.onnx", content)})
    assert (answer.status_code, paths(answer)) == (400, ["model"])
    assert "the file goes into the field 'file'" in answer.json()["detail"]


def test_text_of_a_form_is_utf_8(api: Served, onnx: bytes) -> None:
    answer = api.http.post("/v1/models", files={"name": (None, b"\xff"), "file": ("f", onnx)})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("kind", ["multipart/mixed; boundary=b", "multipart/form-dataX; boundary=b"])
def test_another_kind_of_form_is_no_upload(api: Served, kind: str) -> None:
    answer = api.http.post("/v1/models", content=b"--b--", headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["field"]) == (415, "content-type")


TWICE: list[tuple[str, str]] = [
    ('{"model": "a", "model": "b"}', "model"),
    ('{"model": "a", "mod\\u0065l": "b"}', "model"),
    ('{"recipe": {"steps": [{"kind": "float16", "kind": "int8"}]}}', "recipe.steps.0.kind"),
    ('{"tags": {"": "a", "": "b"}}', "tags."),
    ('{"x": {"y": 1, "y": 1, "y": 1}}', "x.y"),
]


@pytest.mark.parametrize(("content", "field"), TWICE)
def test_a_key_that_stands_twice_is_refused_with_its_path(api: Served, content: str, field: str) -> None:
    answer = api.http.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"], paths(answer)) == (400, "malformed_request", [field])


@pytest.mark.parametrize("way", ["patch", "form", "address"])
def test_a_declaration_with_a_key_twice_is_refused_however_it_comes(
    api: Served, dataset: str, npz: bytes, way: str
) -> None:
    text = '{"inputs": {"x": {"array": "x", "array": "y"}}}'
    match way:
        case "patch":
            headers = {"Content-Type": "application/json"}
            content = f'{{"declaration": {text}}}'
            answer = api.http.patch(f"/v1/datasets/{dataset}", content=content, headers=headers)
        case "form":
            answer = api.http.post("/v1/datasets", files={"declaration": (None, text), "file": ("d", npz)})
        case _:
            answer = api.http.post("/v1/datasets", params={"declaration": text}, content=npz)
    assert (answer.status_code, paths(answer)) == (400, ["declaration.inputs.x.array"])


@pytest.mark.parametrize("path", sorted({path for _, path in ADDRESSES}))
def test_allow_names_every_method_of_the_address_and_of_no_other(
    refusing: Served, ids: dict[str, str], path: str
) -> None:
    expected = {m for m, p in ADDRESSES if p == path} | {"OPTIONS"}
    for other in ("PUT", "TRACE", "OPTIONS", "QUERY"):
        answer = refusing.http.request(other, filled(path, ids))
        assert answer.status_code == (204 if other == "OPTIONS" else 405)
        assert set(answer.headers["allow"].split(", ")) == expected
        assert other == "OPTIONS" or answer.json()["code"] == "method_not_allowed"


def test_an_address_that_is_none_has_no_methods(api: Served) -> None:
    assert api.http.options("/v1/nothing").status_code == 404


@pytest.mark.parametrize(
    "path", ["//v1/models", "/v1//models", "/v1/models/", "/v1/models/a%2Fb", "/V1/models"]
)
def test_an_address_is_written_in_one_way(api: Served, path: str) -> None:
    assert api.http.get(api.url + path).status_code == 404


def test_the_method_is_that_of_the_request(api: Served, model: str) -> None:
    headers = {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE"}
    assert api.http.post(f"/v1/models/{model}", headers=headers).status_code == 405
    assert api.http.get(f"/v1/models/{model}").status_code == 200


@few
@given(names=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=20, unique=True))
def test_whatever_is_unknown_is_told_by_its_name(api: Served, names: list[str]) -> None:
    known = {"limit", "cursor"}
    answer = api.http.get("/v1/models", params=[(name, "1") for name in names])
    assert set(re.split("\n", "\n".join(paths(answer)))) >= {
        n for n in names if n not in known and "\n" not in n
    }
