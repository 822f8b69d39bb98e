"""`POST /v1/datasets/propose`, `GET /v1/datasets/{id}/preview`, `GET /v1/inquiries/{id}`: questions for a worker.

The answer is made once for the same question, and goes with what it is about.
"""

from importlib.metadata import version
from typing import Annotated, Any, Final

from fastapi import Query, Response
from fastapi.concurrency import run_in_threadpool

from app.api import examples
from app.api.deps import DatasetId, InquiryId, Owner, Parts, Service
from app.api.problems import Responses, documented
from app.api.router import Router
from app.api.submission import ready
from app.api.text import WRITTEN_WHOLE
from app.api.times import now
from app.api.uploads import find
from app.api.waiting import Wait, state_changed
from app.storage import records
from app.storage.ids import new_id
from app.storage.ports import Gone
from app.storage.records import InquiryKind, Wake
from app.tracing import current_origin
from winnow.contract.errors import Problem, Refusal
from winnow.contract.inquiry import MAX_PREVIEW_ROWS, Inquiry, Preview, Proposal, ProposeRequest, Rendered

router = Router(prefix="/v1", tags=["datasets"])

SERVICE: Final = version("winnow-service")
"""Another version may answer otherwise."""
LATER: Final[Responses] = {
    202: {"model": Inquiry, "description": "Not answered yet: the answer will be where Location leads"}
}
REFUSED: Final = ("not_found", "invalid_dataset", "invalid_declaration", "inputs_do_not_fit", "worker_lost")


@router.post(
    "/datasets/propose",
    operation_id="propose_declaration",
    response_model=Proposal,
    responses=documented(
        *REFUSED, "model_not_ready", "malformed_request", "unsupported_media_type", also=LATER
    ),
    openapi_extra={"requestBody": {"content": {"application/json": {"example": examples.PROPOSAL}}}},
)
async def propose(request: ProposeRequest, service: Service, owner: Owner, wait: Wait = 0) -> Response:
    """How the dataset is to be read for the model: which array or column is which input, layout, scale, labels."""
    question = {"service": SERVICE}
    ids = (request.model, request.dataset)
    return await respond(
        service, await run_in_threadpool(_ask, service, owner, "propose", *ids, question), wait
    )


@router.get(
    "/datasets/{id}/preview",
    operation_id="preview_dataset",
    response_model=Preview,
    responses=documented(*REFUSED, "model_not_ready", "dataset_not_ready", also=LATER),
)
async def preview(
    id: DatasetId,
    service: Service,
    owner: Owner,
    model: Annotated[str, Query(description="Id of the model that would be fed.", examples=[examples.MODEL])],
    rows: Annotated[
        int,
        Query(ge=1, le=MAX_PREVIEW_ROWS, description="How many rows are shown.", examples=[4]),
        WRITTEN_WHOLE,
    ] = 4,
    wait: Wait = 0,
) -> Response:
    """What the model will be fed with: shapes, ranges, and pictures as it sees them."""
    return await respond(
        service, await run_in_threadpool(_ask_preview, service, owner, id, model, rows), wait
    )


@router.get(
    "/inquiries/{id}",
    operation_id="get_inquiry",
    response_model=Proposal | Preview | Rendered,
    responses=documented(*REFUSED, "step_failed", also=LATER),
)
async def inquiry(id: InquiryId, service: Service, owner: Owner, wait: Wait = 0) -> Response:
    """The answer to a question that was asked before."""
    record = await run_in_threadpool(service.records.inquiry, owner, id)
    if record is None:
        raise _gone(id)
    return await respond(service, record, wait)


def _ask_preview(parts: Parts, owner: str, id: str, model: str, rows: int) -> records.Inquiry:
    dataset = ready(find(parts, owner, "dataset", id), None)
    question = {"service": SERVICE, "declaration": dataset.declaration, "rows": rows}
    return _ask(parts, owner, "preview", model, id, question)


def _ask(
    parts: Parts, owner: str, kind: InquiryKind, model: str, dataset: str, question: dict[str, Any]
) -> records.Inquiry:
    ready(find(parts, owner, "model", model, "model"), "model")
    find(parts, owner, "dataset", dataset, "dataset")
    asked = records.Inquiry(
        id=new_id("inq"),
        owner=owner,
        state="inspecting",
        created_at=now(),
        max_attempts=parts.settings.max_attempts,
        origin=current_origin(),
        kind=kind,
        model=model,
        dataset=dataset,
        question=question,
    )
    return ask(parts, asked)


def ask(parts: Parts, inquiry: records.Inquiry) -> records.Inquiry:
    """Ask, unless it was asked before. The record comes first, then the hint to the workers. Raises `not_found`."""
    try:
        stored, new = parts.records.add_inquiry(inquiry)
    except Gone as error:
        raise Refusal("not_found", f"{error.id} was deleted a moment ago.") from error
    if new:
        parts.queue.publish(Wake(queue="inspect", id=stored.id))
    return stored


async def respond(parts: Parts, record: records.Inquiry, wait: int) -> Response:
    """With the answer, if it is there before so many seconds are over, or with where it will be."""
    last = await state_changed(
        record, lambda: parts.records.inquiry(record.owner, record.id), wait, parts.stopping
    )
    if last is None:
        raise _gone(record.id)
    return await run_in_threadpool(_shown, parts, last)


def _shown(parts: Parts, record: records.Inquiry) -> Response:
    """The answer, the problem it ended in, or where the answer will be."""
    if record.problem is not None:
        problem = Problem.model_validate(record.problem)
        raise Refusal(problem.code, problem.detail, field=problem.field, layer=problem.layer)
    headers = {"location": f"/v1/inquiries/{record.id}", "cache-control": "no-cache"}
    if record.answer_sha256 is None:
        shown = Inquiry.model_validate(
            {name: getattr(record, name) for name in Inquiry.model_fields}
        ).model_dump_json()
        return Response(shown, 202, headers=headers, media_type="application/json")
    if record.job is not None:
        rendered = Rendered(job=record.job, page_sha256=record.answer_sha256)
        return Response(rendered.model_dump_json(), headers=headers, media_type="application/json")
    file = parts.blobs.open(record.answer_sha256)
    if file is None:
        raise Refusal("storage_unavailable", "The answer is missing from the store. Ask again later.")
    with file:
        return Response(file.read(), headers=headers, media_type="application/json")


def _gone(id: str) -> Refusal:
    return Refusal("not_found", f"There is no question {id!r}; what it is about may have been deleted.")
