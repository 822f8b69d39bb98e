"""Two owners, every route: what another one has answers as what nobody has; and each scope opens what it should.

The routes are those of the application itself, so a new one that is not thought of here fails.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from app.api import examples
from app.api.openapi import corpus
from app.main import create_app
from app.queue import MemoryQueue
from app.settings import Settings
from app.storage.ids import new_id, study_of
from app.storage.memory import MemoryRecords
from app.storage.memory_blobs import MemoryBlobs
from app.storage.open import open_blobs, open_records
from app.storage.records import Decision
from tests.app.api.conftest import ONNX, zipped
from tests.app.api.test_values import KINDS, NAMES
from tests.support.facts import dataset_facts, model_facts
from tests.support.owners import a_key_of, also, bearer, served_to
from tests.support.records import a_trial
from tests.support.served import Served

APP = create_app(Settings(), MemoryRecords(), MemoryBlobs(), MemoryQueue())
ROUTES: Final[dict[tuple[str, str], str]] = {
    (method, str(context.path)): context.original_route.access  # type: ignore[attr-defined]
    for context in iter_route_contexts(APP.routes)
    for method in sorted(context.methods or ())
}

OPEN: Final = {
    *("/livez", "/readyz", "/openapi.json"),
    *("/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"),
    *("/v1/links/{id}/{what}", "/metrics", "/assets/{version}/{name}"),
}
ADMIN: Final = {
    *("/v1/keys", "/v1/keys/{id}", "/v1/audit"),
    *("/v1/workers/{id}/drain", "/v1/workers/{id}/undrain"),
}
ANY_KEY: Final = {"/v1/session"}

LISTS: Final = {"/v1/models", "/v1/datasets", "/v1/jobs", "/v1/webhooks", "/models", "/datasets", "/jobs"}
SAME_FOR_ALL: Final = {"/v1/presets", "/v1/limits", "/v1/workers", "/v1/targets"}
NAMING: Final = {"/v1/compare"}
PAGES_OF_ALL: Final = {"/", "/compare", "/workers", "/steps", "/steps/{kind}", "/without-scripts"}
"""What they show beside lists is the same for all."""
MAKING: Final = {
    *("/v1/models", "/v1/datasets", "/v1/jobs", "/v1/webhooks", "/v1/datasets/propose", "/v1/jobs/import"),
    *("/v1/uploads/models", "/v1/uploads/datasets", "/models", "/datasets"),
}

HALF: Final[dict[str, Any]] = {"steps": [{"kind": "float16"}]}
SEARCH: Final[dict[str, Any]] = {
    "recipe": {"steps": [{"kind": "weight_only", "bits": {"any_of": [8, 4]}}]},
    "search": {"budget": {"trials": 8}},
}
HTML: Final = {"Accept": "text/html"}
PART: Final = {"Tus-Resumable": "1.0.0"}
BEGUN: Final = {**PART, "Upload-Length": "8"}
FIRST: Final = {**PART, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
PINNED: Final = {"json": {"pinned": True}}
SENT: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("PATCH", "/v1/models/{id}"): PINNED,
    ("PATCH", "/v1/jobs/{id}"): PINNED,
    ("POST", "/v1/uploads/models"): {"headers": BEGUN},
    ("POST", "/v1/uploads/datasets"): {"headers": BEGUN},
    ("HEAD", "/v1/uploads/{kind}/{id}"): {"headers": PART},
    ("PATCH", "/v1/uploads/{kind}/{id}"): {"headers": FIRST, "content": b"1234"},
    ("DELETE", "/v1/uploads/{kind}/{id}"): {"headers": PART},
    ("PATCH", "/v1/datasets/{id}"): {"json": examples.REDECLARATION},
    ("POST", "/v1/models/{id}/recommendation"): {"json": {}},
    ("POST", "/v1/models/{id}/students"): {"json": {"init": "fresh"}},
    ("POST", "/v1/jobs/{id}/links"): {"json": {"what": "report", "seconds": 60}},
    ("GET", "/v1/datasets/{id}/preview"): {"params": {"model": "mdl_x"}},
    ("HEAD", "/v1/datasets/{id}/preview"): {"params": {"model": "mdl_x"}},
    ("GET", "/v1/compare"): {"params": {"jobs": "job_x,job_y"}},
    ("HEAD", "/v1/compare"): {"params": {"jobs": "job_x,job_y"}},
    **{(method, path): {"headers": HTML} for method, path in ROUTES if not path.startswith("/v1")},
    ("GET", "/datasets/{id}/preview"): {"headers": HTML, "params": {"model": "mdl_x"}},
    ("HEAD", "/datasets/{id}/preview"): {"headers": HTML, "params": {"model": "mdl_x"}},
    ("POST", "/models/{id}/compress"): {
        "headers": HTML,
        "data": {"way": "recipe", "recipe": json.dumps(HALF)},
    },
}
"""What addresses need besides."""


@dataclass(frozen=True)
class World:
    """Ada has one of everything, by the beginning of its address; Bob a model and a dataset of other bytes."""

    api: Served
    bob: httpx.Client
    hers: dict[str, str]
    model: str
    dataset: str
    delivery: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("isolation")
    chosen = Settings(data_dir=folder)
    stores = {"records": open_records(chosen), "blobs": open_blobs(chosen)}
    with served_to("ada", folder, **stores) as api, also(api, "bob") as bob:
        model, dataset = uploaded(api, api.http, ONNX, b"hers")
        his = uploaded(api, bob, ONNX.replace(b"grap", b"GRAP"), b"his")
        hers = {"/v1/models": model, "/v1/datasets": dataset}
        hook = {"url": "https://example.com/hook", "events": ["job.succeeded"]}
        hers["/v1/webhooks"] = api.http.post("/v1/webhooks", json=hook).json()["id"]
        hers["/v1/jobs"] = finished_search(api, model)
        begun = api.http.post("/v1/uploads/models", headers=BEGUN)
        hers["/v1/uploads"] = begun.headers["location"].rpartition("/")[2]
        told = api.http.get(f"/v1/webhooks/{hers['/v1/webhooks']}/deliveries").json()["items"]
        asked = api.http.post("/v1/datasets/propose", json={"model": model, "dataset": dataset})
        hers["/v1/inquiries"] = asked.headers["location"].rpartition("/")[2]
        yield World(api, bob, hers, *his, delivery=told[0]["id"])


def uploaded(api: Served, http: httpx.Client, model: bytes, rows: bytes) -> tuple[str, str]:
    made = http.post("/v1/models", content=model).json()["id"]
    api.inspected(made, model_facts(values=NAMES, value_kinds=KINDS).model_dump())
    data = http.post("/v1/datasets", content=zipped({"x.npy": rows})).json()["id"]
    api.inspected(data, dataset_facts().model_dump())
    return made, data


def finished_search(api: Served, model: str) -> str:
    """A job with artifact, report, curves and a trial that has both."""
    id = str(api.http.post("/v1/jobs", json={"model": model, **SEARCH}).json()["id"])
    job = api.parts.records.job("ada", id)
    assert job is not None
    report = blob(api, json.dumps(corpus()["Report"][0]).encode())
    made = {"artifact_sha256": blob(api, b"small"), "artifact_bytes": 5, "report_sha256": report}
    settle(api, id, Decision(add=[a_trial(job)]))
    api.finish(a_trial(job).id, state="finished", result={"size_bytes": 5}, **made)
    curves = {"curves_sha256": blob(api, b"curves"), "curves_bytes": 6}
    settle(api, id, Decision(job={"state": "succeeded", "outcome": "unchecked", **made, **curves}))
    return id


def settle(api: Served, job: str, decision: Decision) -> None:
    study = api.claim(study_of(job))
    news = vars(study)["news"]
    assert api.parts.records.settle(study.id, study.attempt, time.time(), news, decision)


def blob(api: Served, content: bytes) -> str:
    writer = api.parts.blobs.writer()
    writer.write(content)
    return writer.commit()[0]


def routes(*access: str, with_id: bool | None = None) -> list[tuple[str, str]]:
    return [
        (method, path)
        for (method, path), needs in ROUTES.items()
        if needs in access and with_id in (None, "{" in path and path not in PAGES_OF_ALL)
    ]


def filled(path: str, id: str, delivery: str = "dlv_x") -> str:
    named = {"id": id, "number": "0", "what": "report", "kind": "models", "delivery": delivery}
    named |= {"version": "x", "name": "style.css"}
    return path.format(**named)


def told(answer: httpx.Response, id: str) -> tuple[int, dict[str, str], str]:
    """All that an answer tells, but for what is the request's own."""
    own = {"x-request-id", "date"}
    headers = {name: text for name, text in answer.headers.items() if name not in own}
    text = answer.text.replace(id, "ID").replace(answer.headers["x-request-id"], "REQUEST")
    return answer.status_code, headers, text


def hers_at(world: World, path: str) -> str:
    """Her thing whose address it is; a page's is that of the API without `/v1`."""
    return next(
        id for start, id in world.hers.items() if f"/v1{path.removeprefix('/v1')}".startswith(f"{start}/")
    )


def unknown(id: str) -> str:
    """One of the same kind that nobody has."""
    return new_id(id.partition("_")[0])  # type: ignore[arg-type]


@pytest.mark.parametrize(("method", "path"), routes("by method", with_id=True))
def test_another_owners_id_answers_as_an_unknown_one(world: World, method: str, path: str) -> None:
    hers = hers_at(world, path)
    nobodys, sent = unknown(hers), SENT.get((method, path), {})
    answers = [world.bob.request(method, filled(path, id), **sent) for id in (hers, nobodys)]
    assert told(answers[0], hers) == told(answers[1], nobodys)
    assert answers[0].status_code == 404, "if it needs a body or a parameter, put that into SENT"


@pytest.mark.parametrize(("method", "path"), routes("by method", with_id=True))
def test_the_owner_finds_it_there(world: World, method: str, path: str) -> None:
    """Else the test before would prove nothing. What changes something is refused or done in vain."""
    if method in ("DELETE", "PATCH") or path.endswith(("/cancel", "/retry")):
        return
    hers = hers_at(world, path)
    sent = SENT.get((method, path), {})
    if "params" in sent:
        sent = {**sent, "params": {"model": world.hers["/v1/models"]}}
    answer = world.api.http.request(method, filled(path, hers, world.delivery), **sent)
    assert answer.status_code in (200, 201, 202, 303), answer.text


def test_every_route_without_an_id_is_thought_of() -> None:
    asking = {path for method, path in routes("by method", with_id=False) if method in ("GET", "HEAD")}
    assert asking == LISTS | SAME_FOR_ALL | NAMING | PAGES_OF_ALL
    assert {path for method, path in routes("by method", with_id=False) if method == "POST"} == MAKING
    assert {method for method, _ in ROUTES} <= {"GET", "HEAD", "POST", "PATCH", "DELETE"}


@pytest.mark.parametrize("path", sorted(LISTS))
def test_lists_have_the_owners_own(world: World, path: str) -> None:
    hers = world.hers[f"/v1{path.removeprefix('/v1')}"]
    assert hers in world.api.http.get(path, headers=HTML).text
    assert hers not in world.bob.get(path, params={"limit": 200}, headers=HTML).text
    assert world.bob.get("/v1/jobs", params={"model": world.hers["/v1/models"]}).json()["items"] == []


@pytest.mark.parametrize("path", sorted(PAGES_OF_ALL))
def test_pages_of_all_name_nothing_of_another_owner(world: World, path: str) -> None:
    page = world.bob.get(path.format(kind="finetune"), headers=HTML)
    assert page.status_code == 200
    assert not [id for id in world.hers.values() if id in page.text]


@pytest.mark.parametrize("path", sorted(SAME_FOR_ALL))
def test_what_is_the_same_for_all_is(world: World, path: str) -> None:
    assert world.api.http.get(path).json() == world.bob.get(path).json()


def naming(world: World) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Method, address, which of hers, and how a request of Bob's names it where `ID` stands."""
    with_data = {"model": world.model, "recipe": HALF, "data": {"evaluation": {"dataset": "ID"}}}
    models, datasets = "/v1/models", "/v1/datasets"
    return [
        ("POST", "/v1/jobs", models, {"json": {"model": "ID", "recipe": HALF}}),
        ("POST", "/v1/jobs?dry_run=true", models, {"json": {"model": "ID", "recipe": HALF}}),
        ("POST", "/v1/jobs", datasets, {"json": with_data}),
        ("POST", "/v1/datasets/propose", models, {"json": {"model": "ID", "dataset": world.dataset}}),
        ("POST", "/v1/datasets/propose", datasets, {"json": {"model": world.model, "dataset": "ID"}}),
        ("GET", f"/v1/datasets/{world.dataset}/preview", models, {"params": {"model": "ID"}}),
        ("GET", "/v1/compare", "/v1/jobs", {"params": {"jobs": "ID,job_x"}}),
        ("GET", "/compare", "/v1/jobs", {"params": {"jobs": "ID,job_x"}, "headers": HTML}),
        (
            *("GET", f"/models/{world.model}/compress", datasets),
            {"params": {"dataset": "ID"}, "headers": HTML},
        ),
        (
            *("POST", f"/v1/models/{world.model}/recommendation", datasets),
            {"json": {"data": {"dataset": "ID"}, "objective": "size"}},
        ),
    ]


def test_who_names_another_owners_thing_names_what_is_not_there(world: World) -> None:
    for method, path, kind, sent in naming(world):
        hers = world.hers[kind]
        nobodys = unknown(hers)
        answers = [
            world.bob.request(method, path, **json.loads(json.dumps(sent).replace("ID", id)))
            for id in (hers, nobodys)
        ]
        assert told(answers[0], hers) == told(answers[1], nobodys), path
        assert answers[0].status_code == 404 or "not_found" in answers[0].text, path


def test_the_same_bytes_are_new_to_each_owner(world: World) -> None:
    """They share a blob, and neither learns of the other: status, ids, and what is deleted are their own."""
    content = ONNX.replace(b"grap", b"both")
    hers, his = (
        world.api.http.post("/v1/models", content=content),
        world.bob.post("/v1/models", content=content),
    )
    assert (hers.status_code, his.status_code) == (201, 201)
    assert hers.json()["sha256"] == his.json()["sha256"]
    assert hers.json()["id"] != his.json()["id"]
    assert world.bob.delete(f"/v1/models/{his.json()['id']}").status_code == 204
    assert world.api.http.get(f"/v1/models/{hers.json()['id']}/content").content == content
    assert world.bob.post("/v1/models", content=content).status_code == 201


def test_an_idempotency_key_is_the_owners_own(world: World) -> None:
    headers = {"Idempotency-Key": "the-same-for-both"}
    sent = {"model": world.hers["/v1/models"], "recipe": HALF}
    hers = world.api.http.post("/v1/jobs", json=sent, headers=headers)
    his = world.bob.post("/v1/jobs", json={**sent, "model": world.model}, headers=headers)
    assert (hers.status_code, his.status_code) == (202, 202)
    assert hers.json()["id"] != his.json()["id"]


# --- scopes


def needed(method: str, path: str) -> str | None:
    """The scope that a route should need, None for any key; written down once more, apart from the code."""
    if path in ADMIN:
        return "admin"
    if path in ANY_KEY:
        return None
    return "read" if method in ("GET", "HEAD") else "write"


def test_what_is_open_is_what_should_be() -> None:
    assert {path for _, path in routes("open")} == OPEN
    assert {path for _, path in routes("admin")} == ADMIN
    assert {path for _, path in routes("known")} == ANY_KEY


@pytest.fixture(scope="module")
def keys(world: World) -> dict[str, str]:
    """What it may do → a key that may do this and nothing else."""
    return {scope: a_key_of(world.api, "eve", [scope]) for scope in ("read", "write", "admin")}


@pytest.fixture(scope="module")
def stranger(world: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=world.api.url, timeout=30, verify=False) as http:
        yield http


@pytest.mark.parametrize(("method", "path"), routes("by method", "known", "admin"))
def test_a_route_opens_with_its_scope_and_with_no_other(
    stranger: httpx.Client, keys: dict[str, str], method: str, path: str
) -> None:
    def status(headers: dict[str, str]) -> int:
        sent = SENT.get((method, path), {})
        sent = {**sent, "headers": {**sent.get("headers", {}), **headers}}
        answer = stranger.request(method, filled(path, "x"), **sent)
        stranger.cookies.clear()
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"].startswith('Bearer realm="winnow"')
        return answer.status_code

    assert status({}) == 401
    assert status(bearer("winnow_" + "x" * 43)) == 401
    opens = {scope for scope, text in keys.items() if status(bearer(text)) not in (401, 403)}
    needs = needed(method, path)
    assert opens == ({needs} if needs else set(keys))


@pytest.mark.parametrize(("method", "path"), routes("open"))
def test_what_is_open_asks_nobody(stranger: httpx.Client, method: str, path: str) -> None:
    for headers in ({}, bearer("nonsense"), {"Authorization": "Basic eDp5"}):
        answer = stranger.request(method, filled(path, "x"), headers=headers)
        assert answer.status_code in (200, 422)
