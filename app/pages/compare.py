"""`/compare`: finished jobs beside each other, as a table and as bars."""

from typing import Annotated, Final

from fastapi import Query, Request, Response
from pydantic import StringConstraints

from app.api.compare import FIELD, MAX_CHARACTERS, compare_jobs, ids_in
from app.api.deps import Owner, Service
from app.api.jobs import list_jobs
from app.pages import plots
from app.pages.rendering import page
from app.pages.router import page_router
from app.storage.records import Page
from winnow.contract.comparison import MAX_JOBS
from winnow.contract.errors import Refusal

router = page_router()

CHOICES: Final = 50


@router.get("/compare")
def show_comparison(
    request: Request,
    service: Service,
    owner: Owner,
    jobs: Annotated[
        list[Annotated[str, StringConstraints(max_length=MAX_CHARACTERS)]] | None, Query()
    ] = None,
) -> Response:
    """Without jobs, those that can be chosen. A form sends each by itself."""
    chosen = None if jobs is None else compare_jobs(service, owner, _checked(",".join(jobs)))
    few = Page(limit=CHOICES, after=None)
    finished = list_jobs(request, service, owner, few, state="succeeded").items if chosen is None else []
    return page(
        request,
        "compare.html",
        comparison=chosen,
        bars=plots.comparison(chosen.items) if chosen else [],
        finished=finished,
        most=MAX_JOBS,
    )


def _checked(jobs: str) -> str:
    """Raises `invalid_request`."""
    try:
        ids_in(jobs)
    except ValueError as error:
        raise Refusal("invalid_request", f"{error}.", field=FIELD) from error
    return jobs
