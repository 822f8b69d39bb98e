"""What a browser without scripts sends: an upload, a job. `/without-scripts` says what works without them.

A form of another site is refused before it comes here (`app.api.browsers`).
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from app.api import uploads
from app.api.datasets import DATASETS, DatasetOptions
from app.api.deps import ModelId, Owner, Service
from app.api.models import MODELS, ModelOptions
from app.api.submission import KEY, LONGEST_KEY, submit
from app.pages.forms.job_form import MAX_FIELDS, job_request
from app.pages.rendering import page, root_of
from app.pages.router import page_router
from winnow.contract.errors import Refusal

router = page_router()

MAX_BYTES: Final = 2**18
FORM: Final = "application/x-www-form-urlencoded"
TAKES_A_FORM: Final[dict[str, Any]] = {"requestBody": {"content": {}}}


@router.get("/without-scripts")
def show_without_scripts(request: Request) -> Response:
    return page(request, "without_scripts.html")


@router.post("/models", openapi_extra=TAKES_A_FORM)
async def send_model(
    request: Request, service: Service, owner: Owner, options: Annotated[ModelOptions, Depends()]
) -> Response:
    upload, _ = await uploads.take(request, service, owner, MODELS)
    return _on_to(request, f"models/{upload.id}")


@router.post("/datasets", openapi_extra=TAKES_A_FORM)
async def send_dataset(
    request: Request, service: Service, owner: Owner, options: Annotated[DatasetOptions, Depends()]
) -> Response:
    upload, _ = await uploads.take(request, service, owner, DATASETS)
    return _on_to(request, f"datasets/{upload.id}")


@router.post("/models/{id}/compress", openapi_extra=TAKES_A_FORM)
async def start_job(id: ModelId, request: Request, service: Service, owner: Owner) -> Response:
    fields = await _fields(request)
    asked, key = await run_in_threadpool(job_request, id, fields), _key(fields)
    job, _ = await run_in_threadpool(submit, service, owner, asked, key)
    return _on_to(request, f"jobs/{job.id}")


def _key(fields: Mapping[str, str]) -> str | None:
    """What keeps a form that is sent twice from starting two jobs. Raises `invalid_request`."""
    key = fields.get("key")
    if key is not None and (len(key) > LONGEST_KEY or re.fullmatch(KEY, key) is None):
        detail = f"The form's key is {key[:100]!r}; its page gives it one. Load the page again."
        raise Refusal("invalid_request", detail, field="key")
    return key


def _on_to(request: Request, path: str) -> Response:
    return RedirectResponse(root_of(request.scope["raw_path"].decode("latin-1")) + path, 303)


async def _fields(request: Request) -> dict[str, str]:
    """Raises `unsupported_media_type` and `malformed_request`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Refusal(
            "unsupported_media_type", f"This address takes a form, sent as {FORM}; programs use /v1/jobs."
        )
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise Refusal("malformed_request", f"The form has more than {MAX_BYTES:,} bytes.")
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=MAX_FIELDS))
    except ValueError as error:
        raise Refusal("malformed_request", "This is no form as browsers send it.") from error
