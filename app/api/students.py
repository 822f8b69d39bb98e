"""`POST /v1/models/{id}/students`: a smaller model of the same kind, a model of its own."""

from typing import Annotated, Final

from fastapi import Body, Response
from fastapi.concurrency import run_in_threadpool

from app.admission.packages import check_no_package
from app.admission.student import check_request
from app.api import uploads, views
from app.api.deps import ModelId, Owner, Parts, Service
from app.api.problems import documented
from app.api.quotas import check_bytes
from app.api.router import Router
from app.api.submission import ready
from app.api.times import now
from app.api.waiting import Wait
from app.storage.ids import new_id
from app.storage.records import STUDENT, Upload
from app.tracing import current_origin
from winnow.contract.model import Model, ModelFacts
from winnow.contract.student_request import StudentRequest

router = Router(prefix="/v1/models", tags=["models"])

REFUSED: Final = (
    "one_graph_needed",
    "nothing_to_train",
    "already_quantized",
    "nothing_to_compress",
    "does_not_divide",
    "pattern_matches_nothing",
)
HALF: Final = {"half as deep": {"value": {"depth": 0.5}}}


@router.post(
    "/{id}/students",
    status_code=202,
    operation_id="make_student",
    responses=documented(
        *("not_found", "model_not_ready", "malformed_request", "unsupported_media_type", *REFUSED),
        *("disk_full", "quota_exceeded"),
        also={200: {"model": Model, "description": "The same student was made already"}},
    ),
)
async def make_student(
    id: ModelId,
    response: Response,
    service: Service,
    owner: Owner,
    wanted: Annotated[StudentRequest, Body(openapi_examples=HALF)],
    wait: Wait = 0,
) -> Model:
    """A model in the state `inspecting`, with `parent`, which is `ready` when it was made; train it by distillation."""
    student, new = await run_in_threadpool(_record, service, owner, id, wanted)
    response.status_code = 202 if new or student.state == "inspecting" else 200
    response.headers["location"] = f"/v1/models/{student.id}"
    return views.model(await uploads.settled(service, student, wait) or student)


def _record(parts: Parts, owner: str, id: str, wanted: StudentRequest) -> tuple[Upload, bool]:
    parent = ready(uploads.find(parts, owner, "model", id), None)
    facts = ModelFacts.model_validate(parent.facts)
    check_no_package(facts, "a student is made of one graph", None)
    check_request(wanted, facts)
    check_bytes(parts, owner, parent.size_bytes)
    student = Upload(
        id=new_id("mdl"),
        owner=owner,
        state="inspecting",
        created_at=now(),
        max_attempts=parts.settings.max_attempts,
        origin=current_origin(),
        kind="model",
        name=uploads.clean(wanted.name or "") or uploads.stem(parent.name),
        format=STUDENT,
        sha256=parent.converted or parent.sha256,
        size_bytes=parent.size_bytes,
        declaration={"parent": parent.id, "student": wanted.settings, "seed": wanted.seed},
    )
    return uploads.add(parts, student)
