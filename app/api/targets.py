"""`GET /v1/targets`: the targets of jobs, with what they take and whether they can be measured now."""

import time

from app.api.deps import Service
from app.api.problems import documented
from app.api.router import Router
from app.storage.records import FORGET_WORKER_SECONDS
from winnow.contract.targets import Targets, targets

router = Router(prefix="/v1", tags=["jobs"])


@router.get("/targets", operation_id="list_targets", responses=documented())
def list_targets(service: Service) -> Targets:
    """Runtimes that models can be made for: what each takes with its source, and whether a worker has it."""
    workers = service.records.workers(time.time() - FORGET_WORKER_SECONDS)
    return targets({name for worker in workers for name in worker.runtimes})
