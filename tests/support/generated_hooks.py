"""Hooks of schemathesis: what it generates meets things that exist, and what it deletes is made for that.

Loaded by the program itself (SCHEMATHESIS_HOOKS), in a process of its own. WINNOW_GENERATED is the JSON of a `Target`.
"""

import atexit
import io
import itertools
import json
import os
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

import httpx
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import MissingHeaderNotRejected, RejectedPositiveData
from schemathesis.transport.serialization import Binary

from app.api.examples import CURSOR

TARGET: Final[dict[str, Any]] = json.loads(os.environ["WINNOW_GENERATED"])
ONNX: Final = bytes([0x08, 10, 0x3A, 8])
"""The outermost fields of a model: ir_version 10, and a graph of eight bytes."""

http: Final = httpx.Client(
    base_url=TARGET["url"], timeout=30, headers={"Authorization": f"Bearer {TARGET['key']}"}
)
PREPARED: Final = {*TARGET["models"], *TARGET["datasets"], *TARGET["jobs"]}
"""What later cases need: others are made to be changed and deleted."""

JUDGED_FURTHER: Final = (
    *("upload_model", "upload_dataset", "submit_job", "import_job", "create_webhook"),
    *("begin_model", "begin_dataset", "append_to_upload", "get_upload_offset"),
    *("make_link", "open_link", "create_key"),
)
"""What they take no schema says: bytes have a format, a job fits its model, a webhook's address can be sent to, a part
begins where the last one ended."""

REFUSALS_UNKNOWN: Final = (409, 412, 413, 415, 423, 431, 460)
"""That these are refusals, too, is unknown to schemathesis."""

UNKNOWN_HEADER: Final = "x-schemathesis-unknown-property"

PART: Final = "application/offset+octet-stream"
schemathesis.serializer.alias(PART, "application/octet-stream")

numbers: Final = itertools.count(1)
with_files: Final[set[str]] = set()
"""Cases whose form got a file that is good."""

answers: Final[Counter[str]] = Counter()
"""`operationId status` → how many."""

atexit.register(lambda: Path(TARGET["answers"]).write_text(json.dumps(answers)))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Three of four cases of well-formed data name what exists, the others are sent as they were generated."""
    named = (case.path_parameters or {}).get("id")
    if str((case.query or {}).get("wait")).isdecimal():
        case.query["wait"] = min(int(case.query["wait"]), 1)  # nobody answers what waits for a worker
    if case.meta is not None and next(numbers) % 4:
        _name_what_exists(case)
    elif case.method.upper() != "GET" and named in PREPARED:
        case.path_parameters["id"] = _id(case.operation.path, case.method.upper())


def _name_what_exists(case: Any) -> None:
    if case.operation.path == "/v1/links/{id}/{what}" and _is_well_formed(case, ParameterLocation.PATH):
        _name_a_link(case)
        return
    known = any(f"/v1/{kind}/" in case.operation.path for kind in MAKERS)
    if known and _is_well_formed(case, ParameterLocation.PATH) and "id" in (case.path_parameters or {}):
        case.path_parameters["id"] = _id(case.operation.path, case.method.upper())
        case.path_parameters |= {"kind": "models"} if "kind" in case.path_parameters else {}
        case.path_parameters |= _delivery() if "delivery" in case.path_parameters else {}
    if _is_well_formed(case, ParameterLocation.QUERY):
        case.query = _query(case.query or {})
    if _is_well_formed(case, ParameterLocation.BODY):
        case.body = _body(case)


def _name_a_link(case: Any) -> None:
    what = case.path_parameters["what"]
    made = http.post(f"/v1/jobs/{TARGET['jobs'][0]}/links", json={"what": what, "seconds": 60})
    if made.status_code == 409:  # of a job that has no page there are no links to one
        return
    url = httpx.URL(made.raise_for_status().json()["url"])
    case.path_parameters["id"], case.query = TARGET["jobs"][0], dict(url.params)


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Counts the answers to the operation itself (a probe by another method is no use of it), and all failures."""
    if response.request.method.upper() == case.operation.method.upper() or response.status_code >= 500:
        answers[f"{case.operation.definition.raw['operationId']} {response.status_code}"] += 1


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Well-formed requests may be refused for what no schema says; headers that nobody named are no fault."""
    if isinstance(failure, MissingHeaderNotRejected):
        return response.status_code not in REFUSALS_UNKNOWN
    if isinstance(failure, AcceptedNegativeData):
        any_bytes = (
            case.id in with_files or case.operation.definition.raw["operationId"] == "append_to_upload"
        )
        return not (any_bytes or UNKNOWN_HEADER in case.headers or response.status_code in REFUSALS_UNKNOWN)
    return not (isinstance(failure, RejectedPositiveData) and _is_beyond_schemas(case, response))


def _is_beyond_schemas(case: Any, response: Any) -> bool:
    """Bytes have a format, a job fits its model and data, a link was signed, a key expires in the future, a cursor is
    one of ours, no text holds NUL, and 1.0 is no whole number, which it is to JSON Schema."""
    if case.operation.definition.raw["operationId"] in JUDGED_FURTHER:
        return True
    problem = response.json()
    said = ("NUL", "64 bits", "valid integer", "whole number was expected")
    return problem["field"] == "cursor" or any(text in problem["detail"] for text in said)


def _is_well_formed(case: Any, location: ParameterLocation) -> bool:
    part = case.meta.components.get(location)
    return part is not None and part.mode.is_positive and case.meta.generation.mode.is_positive


def _id(path: str, method: str) -> str:
    kind = path.split("/")[2]
    if path.endswith("/links"):
        return str(TARGET["jobs"][0])
    if method == "GET" and kind in TARGET:
        return str(TARGET[kind][next(numbers) % len(TARGET[kind])])
    return MAKERS[kind]()


def _query(query: dict[str, Any]) -> dict[str, Any]:
    """What the document cannot say: a cursor is one of ours, and a key of a tag stands once."""
    ours = {"cursor": CURSOR} if "cursor" in query else {}
    return {**query, **ours, **({"tag": query["tag"][:1]} if "tag" in query else {})}


def _body(case: Any) -> Any:
    match (case.operation.path, case.media_type):
        case ("/v1/models", "application/octet-stream"):
            return new_model()
        case ("/v1/datasets", "application/octet-stream"):
            return new_dataset()
        case (_, media_type) if media_type == PART:
            return new_model()
        case ("/v1/models" | "/v1/datasets" as path, _) if isinstance(case.body, dict):
            with_files.add(case.id)
            return {**case.body, "file": Binary(new_model() if path == "/v1/models" else new_dataset())}
        case ("/v1/jobs", _):
            return _with_ids(case.body)
        case ("/v1/webhooks", _):
            return {**case.body, "url": f"https://hooks.invalid/{next(numbers)}"}
        case _:
            return case.body


def _with_ids(value: Any, name: str = "") -> Any:
    """Ids of models and datasets that are ready where some are asked for; patterns that match."""
    if isinstance(value, dict):
        return {key: _with_ids(part, key) for key, part in value.items()}
    if name in ("model", "student") and isinstance(value, str):
        return TARGET["models"][0]
    if name == "teacher" and isinstance(value, str):
        return "original"
    if name == "dataset" and isinstance(value, str):
        return TARGET["datasets"][0]
    if name in ("exclude", "layers") and isinstance(value, list):
        return ["fc"][: len(value)]
    return [_with_ids(part, name) for part in value] if isinstance(value, list) else value


def _made(path: str, **options: Any) -> str:
    return str(http.post(path, **options).raise_for_status().json()["id"])


def _job() -> str:
    return _made("/v1/jobs", json={"model": TARGET["models"][0], "recipe": {"steps": [{"kind": "float16"}]}})


def _webhook() -> str:
    """One at a time: an owner may have so many."""
    for known in http.get("/v1/webhooks").json()["items"]:
        http.delete(f"/v1/webhooks/{known['id']}")
    return _made("/v1/webhooks", json={"url": "https://hooks.invalid", "events": ["job.cancelled"]})


def _delivery() -> dict[str, str]:
    """Of a webhook that was just told of something."""
    webhook = _webhook()
    http.post(f"/v1/jobs/{_job()}/cancel").raise_for_status()
    [delivery] = http.get(f"/v1/webhooks/{webhook}/deliveries").json()["items"]
    return {"id": webhook, "delivery": delivery["id"]}


def _upload() -> str:
    """A new one while there is room, then none that exists."""
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(ONNX) + 8)}
    begun = http.post("/v1/uploads/models", headers=headers)
    return begun.headers.get("location", "upl_none").split("/")[-1]


def new_model() -> bytes:
    """Bytes that are kept as a model to be inspected, other ones every time."""
    return ONNX + next(numbers).to_bytes(8)


MAKERS: Final = {
    "models": lambda: _made("/v1/models", content=new_model()),
    "datasets": lambda: _made("/v1/datasets", content=new_dataset()),
    "jobs": _job,
    "webhooks": _webhook,
    "uploads": _upload,
    "keys": lambda: _made("/v1/keys", json={"name": "generated", "owner": "generated"}),
}
"""Kind → makes one and answers its id."""


def new_dataset() -> bytes:
    """Bytes that are kept as a dataset to be inspected, other ones every time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", next(numbers).to_bytes(8))
    return buffer.getvalue()
