"""The one kind of route here: it refuses whatever its signature does not name, every fault at once.

What a route takes is read off the route itself: its parameters, and whether it has a body, of which model. A parameter
is given once and with a value; JSON is read by `winnow.contract.strict_json` and by nothing else.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from email.message import Message
from functools import cached_property
from typing import Any, ClassVar, Final

from fastapi import Request, Response
from fastapi._compat import ModelField, field_annotation_is_sequence
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.utils import get_flat_params, request_params_to_args
from fastapi.params import Header, Query
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.datastructures import Headers, QueryParams

from app.api.guard import Access, guarded
from winnow.contract.errors import FieldError, Refusal, Refusals, refusal_of_fields
from winnow.contract.invalid import field_errors
from winnow.contract.nearest import did_you_mean
from winnow.contract.strict_json import read_model, why_unstorable

MAX_PARAMETERS: Final = 100
"""Of one address."""

JSON_NEEDED: Final = (
    "The request needs a JSON object as its body, sent with `Content-Type: application/json`."
)


class StrictRoute(APIRoute):
    """Checks who asks, then address, headers and body, before anything else of the route runs."""

    access: ClassVar[Access] = "by method"

    @cached_property
    def taken(self) -> list[ModelField]:
        """All parameters of the route and of what it depends on."""
        return get_flat_params(self.dependant)

    @cached_property
    def queries(self) -> list[ModelField]:
        return [field for field in self.taken if isinstance(field.field_info, Query)]

    @cached_property
    def headers(self) -> list[ModelField]:
        return [field for field in self.taken if isinstance(field.field_info, Header)]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            refusals = Refusals()
            with refusals:
                check_parameters(self, request)
            with refusals:
                request = await self._with_checked_body(request)
            refusals.raise_all()
            return await handle(request)

        async def strict(request: Request) -> Response:
            return await guarded(request, self.access, self.path_format, checked)

        return strict

    async def _with_checked_body(self, request: Request) -> Request:
        """Raises `malformed_request`, `invalid_request` and `unsupported_media_type`."""
        if self.body_field is not None:
            kind = self.body_field.field_info.annotation
            assert isinstance(kind, type)
            assert issubclass(kind, BaseModel)
            return _ReadRequest(request, await _read_body(kind, request))
        if "requestBody" not in (self.openapi_extra or {}) and _has_body(request.headers):
            raise Refusal("invalid_request", "This address takes no body; send the request without one.")
        return request


class KnownRoute(StrictRoute):
    access = "known"


class AdminRoute(StrictRoute):
    access = "admin"


class OpenRoute(StrictRoute):
    access = "open"


class _ReadRequest(Request):
    """A request whose JSON was read: FastAPI gets the model, and leaves it as it is."""

    def __init__(self, request: Request, model: BaseModel) -> None:
        super().__init__(request.scope, request.receive)
        self._request, self._model = request, model

    async def body(self) -> bytes:
        return await self._request.body()

    async def json(self) -> BaseModel:
        return self._model


def parameters(request: Request, form: Iterable[tuple[str, str]], refusals: Refusals) -> dict[str, Any]:
    """The route's query parameters, those that came as fields of a form among them: name in the signature → value.

    Leaves out what is faulty, and keeps `invalid_request` as for parameters in the address.
    """
    fields = request.scope["route"].queries
    sent = QueryParams([*request.query_params.multi_items(), *form])
    errors = _text_errors(sent.multi_items(), fields)
    faulty = {error.path for error in errors}
    values, invalid = request_params_to_args([f for f in fields if f.alias not in faulty], sent)
    with refusals:
        if errors := errors + located_errors(invalid):
            raise refusal_of_fields(errors)
    return values


def check_parameters(route: StrictRoute, request: Request) -> None:
    """Raises `invalid_request` for what the route does not take, or takes once, or with a value, or not like that."""
    queries, headers = route.queries, route.headers
    errors = _path_errors(request.path_params)
    errors += _text_errors(request.query_params.multi_items(), queries)
    errors += _header_errors(request.headers, headers)
    faulty = {error.path for error in errors}
    for fields, sent in ((queries, request.query_params), (headers, request.headers)):
        _, invalid = request_params_to_args([f for f in fields if f.alias not in faulty], sent)
        errors += located_errors(invalid)
    if errors:
        raise refusal_of_fields(errors)


def _path_errors(values: Mapping[str, Any]) -> list[FieldError]:
    whys = {name: why_unstorable(text) for name, text in values.items()}
    return [FieldError(path=name, detail=why) for name, why in whys.items() if why is not None]


def _text_errors(sent: Sequence[tuple[str, str]], fields: Sequence[ModelField]) -> list[FieldError]:
    if len(sent) > MAX_PARAMETERS:
        return [FieldError(path="", detail=f"The address has more than {MAX_PARAMETERS} parameters.")]
    known = {field.alias: field for field in fields}
    texts: dict[str, list[str]] = {}
    for name, text in sent:
        texts.setdefault(name, []).append(text)
    found = {name: _text_error(name, several, known) for name, several in texts.items()}
    return [FieldError(path=name, detail=detail) for name, detail in found.items() if detail is not None]


def _text_error(name: str, texts: list[str], known: dict[str, ModelField]) -> str | None:
    if name not in known:
        return _unknown(name, [*known])
    if unstorable := next(filter(None, map(why_unstorable, texts)), None):
        return unstorable
    if not all(texts):
        return "It is given without a value: give one, or leave the parameter out."
    if len(texts) > 1 and not field_annotation_is_sequence(known[name].field_info.annotation):
        return f"It is given {len(texts)} times and taken once: keep one."
    return None


def _unknown(name: str, known: list[str]) -> str:
    if not known:
        return "There is no such parameter: this address takes none."
    return f"There is no such parameter; this address takes {', '.join(known)}.{did_you_mean(name, known)}"


def _header_errors(headers: Headers, fields: Sequence[ModelField]) -> list[FieldError]:
    once = ("content-type", *(field.alias for field in fields))
    return [
        FieldError(path=name, detail="The header is sent more than once: keep one.")
        for name in once
        if len(headers.getlist(name)) > 1
    ]


def located_errors(errors: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    """FastAPI's errors about parameters, whose paths begin with `query` or `header`."""
    located = [{**error, "loc": error["loc"][1:2]} for error in errors]
    return field_errors(located, {error["loc"][0]: None for error in located if error["loc"]})


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


async def _read_body(kind: type[BaseModel], request: Request) -> BaseModel:
    content = await request.body()
    if not content:
        raise Refusal("invalid_request", JSON_NEEDED)
    _check_is_json(request.headers.get("content-type"))
    return await run_in_threadpool(read_model, kind, content)  # 0.4 s for what is as large as it may be


def _check_is_json(content_type: str | None) -> None:
    message = Message()
    message["content-type"] = content_type or "nothing"
    charset = message.get_content_charset("utf-8")
    if message.get_content_type() != "application/json" or charset != "utf-8":
        sent = f"it came with `{content_type[:100]}`" if content_type else "it came without a Content-Type"
        detail = f"{JSON_NEEDED} Its text is UTF-8; {sent}."
        raise Refusal("unsupported_media_type", detail, field="content-type")
