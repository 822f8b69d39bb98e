"""The trials of a job that searches: `/v1/jobs/{id}/trials`, and what each made."""

import math
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request, Response

from app.api import views
from app.api.artifacts import name_of, suffix_of
from app.api.content import CONTENT, content
from app.api.deps import Service
from app.api.jobs import Found
from app.api.pages import Listed, Paged, listed
from app.api.problems import documented
from app.api.reports import Raw, report_json
from app.api.router import Router
from app.storage import records
from app.storage.records import Page
from winnow.contract.errors import Problem, Refusal
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from winnow.contract.trial import Costs, Trial, TrialState, pareto

router = Router(prefix="/v1/jobs", tags=["results"])


@router.get("/{id}/trials", operation_id="list_trials", responses=documented("not_found"))
def list_trials(
    request: Request,
    service: Service,
    job: Found,
    page: Paged,
    state: Annotated[
        TrialState | None, Query(description="Only trials in this state.", examples=["finished"])
    ] = None,
    best: Annotated[
        bool | None,
        Query(
            alias="pareto",
            description="Only trials that no other beats in size, latency and quality (`true`), or only the others.",
            examples=[True],
        ),
    ] = None,
) -> Listed[Trial]:
    """By their number; every filter narrows. A job that searches nothing has none."""
    rows = [row for row in service.records.trial_rows(job.id) if row.role == "trial"]
    beaten_by_none = front(rows)
    wanted = [
        row for row in rows if state in (None, row.state) and best in (None, row.number in beaten_by_none)
    ]
    items, next = listed(
        request,
        page,
        "trl",
        lambda part: _after(wanted, part),
        lambda those: [shown(row, row.number in beaten_by_none) for row in those],
        _place,
    )
    return Listed(items=items, next=next)


def _find(
    job: Found,
    service: Service,
    number: Annotated[int, Path(ge=0, lt=2**31, description="Number of the trial.", examples=[7])],
) -> records.Trial:
    trial = service.records.trial(job.id, number)
    if trial is None or trial.role != "trial":
        raise Refusal("not_found", f"The job {job.id} has no trial {number}.")
    return trial


FoundTrial = Annotated[records.Trial, Depends(_find)]


@router.get(
    "/{id}/trials/{number}/artifact",
    operation_id="download_trial",
    response_class=Response,
    responses=documented("not_found", "no_artifact", "range_not_satisfiable", also=CONTENT),
)
def download_trial(request: Request, service: Service, job: Found, trial: FoundTrial) -> Response:
    """The compressed ONNX of one trial, as it was compared with the others."""
    sha256 = _made(trial, trial.artifact_sha256)
    filename = f"{name_of(service, job)}-winnow-{trial.number}{suffix_of(service, sha256)}"
    return content(request, service.blobs, sha256, filename, container=True)


@router.get(
    "/{id}/trials/{number}/report",
    operation_id="get_trial_report",
    response_class=Response,
    responses=documented(
        "not_found",
        "no_artifact",
        also={200: {"model": Report, "description": "Before and after, as far as trials are measured"}},
    ),
)
def get_trial_report(
    request: Request, service: Service, job: Found, trial: FoundTrial, raw: Raw = False
) -> Response:
    """What was measured of one trial, as JSON: on the data that trials are compared on, beside other work."""
    sha256 = _made(trial, trial.report_sha256)
    filename = f"{name_of(service, job)}-winnow-{trial.number}-report.json"
    return report_json(request, service.blobs, sha256, filename, raw)


def _made(trial: records.Trial, sha256: str | None) -> str:
    if sha256 is None:
        why = "" if trial.problem is None else "; its problem says why"
        detail = (
            f"The trial {trial.number} is {trial.state.replace('_', ' ')} and has nothing to download{why}."
        )
        raise Refusal("no_artifact", detail)
    return sha256


def _place(row: records.Trial) -> tuple[float, str]:
    return float(row.number), row.id


def _after(rows: list[records.Trial], page: Page) -> list[records.Trial]:
    unseen = [row for row in rows if page.after is None or _place(row) > page.after]
    return unseen[: page.limit]


def front(rows: list[records.Trial]) -> frozenset[int]:
    """Of what was trained to the end: what was tried short is no result."""
    whole = [row for row in rows if row.state == "finished" and row.share >= 1]
    return pareto({row.number: _costs(row.result or {}) for row in whole})


def _costs(result: dict[str, Any]) -> Costs:
    return Costs(
        size_bytes=result.get("size_bytes") or math.inf,
        latency=1 / result["speedup"]["value"] if result.get("speedup") else math.inf,
        loss=_loss(result),
    )


def _loss(result: dict[str, Any]) -> float:
    """The drop of the first metric; without one, how unlike the outputs are: no noise at all has no ratio."""
    for metric in (result.get("metrics") or {}).values():
        return float(metric["drop"])
    parity = result.get("parity")
    if parity is None or parity["cosine"] is None:
        return math.inf
    return -math.inf if parity["snr_db"] is None else -float(parity["snr_db"])


def shown(row: records.Trial, in_front: bool) -> Trial:
    result = row.result or {}
    required = result.get("requirements")
    return Trial.model_validate(
        {
            "number": row.number,
            "state": row.state,
            "recipe": row.recipe and Recipe.model_validate(row.recipe),
            "size_bytes": result.get("size_bytes"),
            "speedup": result.get("speedup"),
            "metrics": result.get("metrics") or {},
            "meets": None if required is None else all(entry["met"] for entry in required),
            "pareto": in_front,
            "share": row.share,
            "seconds": row.seconds,
            "worker": row.worker,
            "problem": row.problem and Problem.model_validate(row.problem),
            "artifact": views.artifact(row.artifact_sha256, row.artifact_bytes),
        }
    )
