"""Whatever a client sends, the answer is an answer: never a 500, and a problem where it is no success."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from app.api import problems
from app.settings import Settings
from app.storage.memory import MemoryRecords
from app.storage.open import open_blobs, open_records
from tests.support.served import Served, served
from winnow.contract.errors import Problem, Refusal

MODEL: dict[str, Any] = {"model": "mdl_x", "recipe": {"steps": [{"kind": "float16"}]}}


def problem(answer: httpx.Response) -> Problem:
    assert answer.headers["content-type"] == "application/problem+json"
    told = Problem.model_validate(answer.json())
    assert told.status == answer.status_code < 500
    return told


def post(api: Served, content: bytes, content_type: str = "application/json") -> Problem:
    return problem(api.http.post("/v1/jobs", content=content, headers={"Content-Type": content_type}))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"recipe": {"steps": [{}]}}, "recipe.steps.0.kind"),
        ({"recipe": {"steps": [{"kind": "magic"}]}}, "recipe.steps.0.kind"),
        ({"recipe": {"steps": [{"kind": 1}]}}, "recipe.steps.0.kind"),
        ({"recipe": {"steps": []}}, "recipe.steps"),
        ({"recipe": {"steps": [{"kind": "int8_static", "samples": 0}]}}, "recipe.steps.0.samples"),
        ({"recipe": {"steps": [{"kind": "float16", "samples": 1}]}}, "recipe.steps.0.samples"),
        ({"recipe": None}, "recipe"),
        ({"modle": "x"}, "modle"),
        ({"model": "\0"}, "model"),
        ({"tags": {"a\0": "b"}}, "tags"),
        ({"tags": {"": "b"}}, "tags."),
        ({"seed": -1}, "seed"),
        ({"seed": 10**30}, "seed"),
        ({"data": {"evaluation": {"dataset": "d", "slice": [0]}}}, "data.evaluation.slice.1"),
        ({"data": {"evaluation": {"dataset": "d", "slice": [0, 10**30]}}}, "data.evaluation.slice.1"),
        ({"data": {"evaluation": {"dataset": "d", "map": {"x": "\ud800"}}}}, "data.evaluation.map.x"),
        ({"benchmark": {"threads": "many"}}, "benchmark.threads"),
        ({"benchmark": {"threads": []}}, "benchmark.threads"),
        ({"benchmark": {"shapes": {"x": [0]}}}, "benchmark.shapes.x.0"),
        ({"require": {"max_metric_drop": -0.1}}, "require.max_metric_drop"),
        ({"require": {"min_speedup": 0}}, "require.min_speedup"),
        ({"require": {"max_latency_ms": 0}}, "require.max_latency_ms"),
        ({"require": {"max_size_bytes": 1.5}}, "require.max_size_bytes"),
        ({"require": {"max_memory_bytes": 2**63}}, "require.max_memory_bytes"),
        ({"require": {"metrics": {"f1": {"min": 0.9, "max": 0.8}}}}, "require.metrics.f1"),
        ({"require": {"min_agreement": 0.9, "metrics": {"agreement": {"max": 0.8}}}}, "require.metrics"),
    ],
)
def test_the_field_is_named_by_its_path(api: Served, change: dict[str, Any], field: str) -> None:
    told = post(api, json.dumps(MODEL | change).encode())
    assert (told.code, told.field) == ("invalid_request", field)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(api: Served, number: str) -> None:
    told = post(api, json.dumps(MODEL | {"require": {"min_speedup": 5}}).replace("5", number).encode())
    assert told.field == "require.min_speedup"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid_request"),
        (b"{", "malformed_request"),
        (b"null", "invalid_request"),
        (b"[]", "invalid_request"),
        (b'"text"', "invalid_request"),
        (b"\xff\xfe", "malformed_request"),
        (b"[" * 100_000, "malformed_request"),
        (b'{"model": ' + b"9" * 5000 + b"}", "malformed_request"),
        (b'{"model": "\\ud800"}', "invalid_request"),
        (b'{"\\ud800": 1}', "invalid_request"),
        (b" " * (2**20 + 1), "upload_too_large"),
    ],
)
def test_a_body_that_is_no_request_is_a_problem(api: Served, content: bytes, code: str) -> None:
    assert post(api, content).code == code


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml"]
)
def test_json_has_to_say_that_it_is(api: Served, content_type: str) -> None:
    told = post(api, json.dumps(MODEL).encode(), content_type)
    assert (told.status, told.code) == (415, "unsupported_media_type")
    assert "application/json" in told.detail


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/jobs/", "/v1/nothing", "/v2/models", "/v1/models/x/y/z"])
def test_an_address_that_is_none_is_a_problem(api: Served, path: str) -> None:
    assert problem(api.http.get(path)).code == "not_found"


@pytest.mark.parametrize(
    "path", ["/v1/models/%00", "/v1/jobs/%00/events", "/v1/jobs?model=%00", "/v1/jobs?%00=1"]
)
def test_a_nul_in_an_address_is_a_problem(api: Served, path: str) -> None:
    assert problem(api.http.get(path)).code == "invalid_request"


@pytest.mark.parametrize("path", ["/v1/models/%ff%fe", "/v1/jobs/%ed%a0%80", "/v1/datasets/" + "x" * 5000])
def test_an_id_that_cannot_be_is_not_found(api: Served, path: str) -> None:
    assert problem(api.http.get(path)).code == "not_found"


def test_a_method_that_is_none_names_those_that_are(api: Served) -> None:
    answer = api.http.put("/v1/jobs")
    assert problem(answer).code == "method_not_allowed"
    assert set(answer.headers["allow"].replace(" ", "").split(",")) & {"GET", "POST"}


@pytest.mark.parametrize("text", ["%0A", "%1B%5B2J", "%C3%A4"])
def test_a_method_that_is_none_names_those_that_are_whatever_the_address_has(api: Served, text: str) -> None:
    answer = api.http.put(f"/v1/models/{text}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS, PATCH")


def test_raw_bytes_of_an_address_are_neither_logged_nor_read(caplog: pytest.LogCaptureFixture) -> None:
    scope = {"type": "http", "method": "GET", "path": "/\x1b[2J", "query_string": b"\xff", "headers": []}
    request = Request(scope | {"server": ("127.0.0.1", 80), "scheme": "http"})
    assert problems._not_stored(request, OSError("away")).status_code == 503
    assert problems._unexpected(request, ValueError("x")).status_code == 500
    assert "/%1B%5B2J" in caplog.text
    assert "\x1b" not in caplog.text


def test_what_is_sent_does_not_come_back_at_length(api: Served) -> None:
    told = post(api, json.dumps(MODEL | {"x" * 500_000: 1}).encode())
    assert len(told.model_dump_json()) < 10_000


class Broken(MemoryRecords):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def job(self, owner: str, id: str) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OperationalError("SELECT secret", {}, Exception("locked")), 503, "storage_unavailable"),
        (RuntimeError("secret"), 500, "internal_error"),
    ],
)
def test_a_failure_of_ours_tells_nothing_of_our_insides(
    tmp_path: Path, error: Exception, status: int, code: str
) -> None:
    with served(tmp_path, records=Broken(error)) as api:
        answer = api.http.get("/v1/jobs/job_1")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text


def test_every_code_can_be_documented() -> None:
    app = FastAPI()
    problems.install(app)
    listed = problems.documented("not_found", "in_use", "model_not_ready")
    assert listed[409]["description"] == "`in_use`, `model_not_ready`"
    assert problems.respond(Refusal("not_found", "x")).media_type == "application/problem+json"


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Served]:
    """On a real database and a real directory: they take less than memory does."""
    chosen = Settings(data_dir=tmp_path)
    with served(tmp_path, records=open_records(chosen), blobs=open_blobs(chosen)) as running:
        yield running


anything: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["int8_static", "mdl_x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "steps", "dataset", "map", "input", ""]) | st.text(), inner, max_size=3
        )
    ),
    max_leaves=8,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("name", "tags", "data", "evaluation", "require", "benchmark", "limits", "seed"), anything
        ),
        "model": anything | st.just("mdl_x"),
        "recipe": anything | st.just(MODEL["recipe"]),
    },
)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(request=requests | anything)
def test_junk_that_is_json_is_a_problem(stored: Served, request: Any) -> None:
    post(stored, json.dumps(request).encode())
    change = {"declaration": request}
    problem(stored.http.patch("/v1/datasets/dst_x", content=json.dumps(change).encode()))


@quick
@given(
    method=st.sampled_from(["GET", "POST", "PATCH", "DELETE"]),
    path=st.sampled_from(
        ["models", "datasets", "jobs", "jobs/x", "models/x/content", "jobs/x/events", "jobs/x/logs"]
    ),
    query=st.dictionaries(
        st.sampled_from(
            [
                "name",
                "format",
                "input",
                "declaration",
                "cursor",
                "limit",
                "state",
                "tag",
                "since",
                "until",
                "after",
            ]
        ),
        st.text(max_size=30) | st.integers().map(str),
        max_size=4,
    ),
    content=st.binary(max_size=100),
    content_type=st.sampled_from(["", "application/json", "multipart/form-data; boundary=b", "text/plain"]),
)
def test_junk_anywhere_is_answered(
    stored: Served, method: str, path: str, query: dict[str, str], content: bytes, content_type: str
) -> None:
    headers = {"Content-Type": content_type}
    answer = stored.http.request(method, f"/v1/{path}", params=query, content=content, headers=headers)
    if answer.is_error:
        problem(answer)


@quick
@given(declaration=anything)
def test_any_declaration_is_taken_or_refused(stored: Served, npz: bytes, declaration: Any) -> None:
    files = {"declaration": (None, json.dumps(declaration)), "file": ("d.npz", npz)}
    answer = stored.http.post("/v1/datasets", files=files)
    if answer.is_error:
        assert (problem(answer).field or "declaration").startswith("declaration")
