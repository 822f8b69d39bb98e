"""`/`: where a model is dropped, and what was done last; `/workers`: who works here, and what waits."""

from typing import Final

from fastapi import Request, Response

from app.api import jobs, models, workers
from app.api.deps import Known, Owner, Service
from app.api.pages import Paged
from app.pages.rendering import page
from app.pages.router import page_router
from app.storage.records import Page

router = page_router()

LAST: Final = 5


@router.get("/")
def show_home(request: Request, service: Service, owner: Owner) -> Response:
    few = Page(limit=LAST, after=None)
    return page(
        request,
        "home.html",
        models=models.list_models(request, service, owner, few).items,
        jobs=jobs.list_jobs(request, service, owner, few).items,
        most=service.settings.max_upload_bytes,
    )


@router.get("/workers")
def show_workers(request: Request, service: Service, caller: Known, paged: Paged) -> Response:
    waiting = jobs.list_jobs(request, service, caller.owner, paged, state="queued")
    known = workers.list_workers(service, caller).items
    return page(request, "workers.html", workers=known, waiting=waiting.items, next=waiting.next)
