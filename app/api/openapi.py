"""`/openapi.json`: what FastAPI derives from the routes, with examples from a service that ran, and headers.

The examples are whole answers and requests. What stands in them at a field becomes that field's example; a field that
none of them has takes its default.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from app.api import examples
from app.api.guard import COOKIE
from app.api.router import Router
from winnow.contract.open_steps import ANY_OF, BETWEEN
from winnow.contract.presets import Presets, presets
from winnow.contract.targets import targets

router = Router(include_in_schema=False, access="open")

REF: Final = "#/components/schemas/"
REQUEST_ID: Final = {
    "X-Request-Id": {
        "description": "The name of the request, as in the service's log: yours, where you sent one, else a new one.",
        "required": True,
        "schema": {"type": "string", "examples": ["a48aa3d575d243609201128f8fcb961e"]},
    }
}

SECURITY: Final = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key, or a token of the issuer."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "For browsers: POST /v1/session sets it.",
    },
}

Schema = dict[str, Any]


@router.get("/openapi.json")
def get_openapi(request: Request) -> Response:
    return JSONResponse(request.app.openapi())


def complete(made: Schema, *, asks: bool) -> None:
    """Writes examples and headers into FastAPI's document; `asks`: how to say who asks."""
    schemas = made["components"]["schemas"]
    if asks:
        made["components"]["securitySchemes"] = SECURITY
    for name, instances in corpus().items():
        for instance in instances:
            _spread(schemas, {"$ref": f"{REF}{name}"}, instance)
    for schema in schemas.values():
        for part in schema.get("properties", {}).values():
            part.setdefault("examples", [part.get("default", part.get("const"))])
    for operation in _operations(made):
        for parameter in operation.get("parameters", []):
            _without_null(parameter["schema"])
        _complete_form(operation)
        if asks:
            operation.setdefault("security", [{name: []} for name in SECURITY])
        _show(operation.get("requestBody", {}))
        for response in operation["responses"].values():
            response.setdefault("headers", {}).update(REQUEST_ID)
            _show(response)


@cache
def corpus() -> dict[str, list[Any]]:
    """Name of a schema → instances of it, the one to show first."""
    answers: dict[str, list[Any]] = json.loads(Path(__file__).with_name("answers.json").read_text())
    lists = {
        f"Listed_{name}_": [{"items": answers[name][:1], "next": f"{path}?cursor={examples.CURSOR}"}]
        for name, path in (
            ("Model", "/v1/models"),
            ("Dataset", "/v1/datasets"),
            ("Job", "/v1/jobs"),
            ("GraphValue", f"/v1/models/{answers['Model'][0]['id']}/values"),
        )
    }
    logs = [{"items": answers["LogRecord"], "next": f"/v1/jobs/{answers['Job'][0]['id']}/logs?after=14"}]
    requests = [example["value"] for example in examples.JOBS.values()]
    return {
        **answers,
        **lists,
        "Listed_LogRecord_": logs,
        "JobRequest": requests,
        "DatasetChange": [examples.REDECLARATION],
        "Pinning": [{"pinned": True}],
        "ProposeRequest": [examples.PROPOSAL],
        "Recipe": [{"steps": examples.STEPS}],
        "Presets": [Presets(items=presets()).model_dump(mode="json", exclude_unset=True)],
        "Targets": [targets(["onnxruntime-cpu"]).model_dump(mode="json")],
        "RecommendationRequest": [{"data": {"dataset": examples.DATASET}, "objective": "latency"}],
        "Recommendations": [examples.RECOMMENDATIONS],
        **examples.PARTS,
        **examples.ACCESS,
    }


def _spread(schemas: dict[str, Schema], schema: Schema, value: Any) -> None:
    """Gives every property that the value has an example: the first one that is not null."""
    for branch in _branches(schemas, schema, value):
        if isinstance(value, list):
            for item in value:
                _spread(schemas, branch.get("items", {}), item)
        elif isinstance(value, dict):
            _spread_object(schemas, branch, value)


def _spread_object(schemas: dict[str, Schema], schema: Schema, value: dict[str, Any]) -> None:
    others = schema.get("additionalProperties")
    for name, part in value.items():
        own = schema.get("properties", {}).get(name)
        if own is not None and own.get("examples", [None]) == [None] and not _is_range(part):
            own["examples"] = [part]
        _spread(schemas, own or (others if isinstance(others, dict) else {}), part)


def _is_range(part: Any) -> bool:
    """Whether it stands in place of a value: no example of the closed setting."""
    return isinstance(part, dict) and bool(part.keys() & {ANY_OF, BETWEEN})


def _branches(schemas: dict[str, Schema], schema: Schema, value: Any) -> Iterator[Schema]:
    """The schemas without references that the value may be meant for."""
    if "$ref" in schema:
        yield from _branches(schemas, schemas[schema["$ref"].removeprefix(REF)], value)
    elif "discriminator" in schema:
        mapping, key = schema["discriminator"]["mapping"], schema["discriminator"]["propertyName"]
        yield from _branches(schemas, {"$ref": mapping[value[key]]}, value) if value else ()
    elif "anyOf" in schema:
        for branch in schema["anyOf"]:
            yield from _branches(schemas, branch, value)
    elif schema.get("type") == ("array" if isinstance(value, list) else "object"):
        yield schema


def _operations(made: Schema) -> Iterator[Schema]:
    for methods in made["paths"].values():
        yield from methods.values()


def _without_null(schema: Schema) -> None:
    """An address and a header have no way to write null: what is optional there is left out."""
    forms = [form for form in schema.pop("anyOf", []) if form.get("type") != "null"]
    schema |= forms[0] if forms else {}


def _complete_form(operation: Schema) -> None:
    """What the address takes, a form takes as fields too."""
    form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")
    if form is not None:
        for parameter in operation.get("parameters", []):
            about = {"description": parameter["description"]}
            form["schema"]["properties"].setdefault(parameter["name"], {**parameter["schema"], **about})


def _show(body: Schema) -> None:
    """Gives each form of a body an example."""
    for content in body.get("content", {}).values():
        schema = content.get("schema", {})
        name = schema.get("anyOf", [schema])[0].get("$ref", "").removeprefix(REF)
        if name in corpus() and not {"example", "examples"} & content.keys():
            content["example"] = corpus()[name][0]
