"""`GET /v1/targets`: the targets of jobs, with what they take and whether they can be measured now."""

import time

from app.api.deps import Service
from app.api.problems import documented
from app.api.router import Router
from app.storage.records import FORGET_WORKER_SECONDS
from winnow.contract.target import JOB_TARGETS, JobTarget, checked_by_rules, measured_on
from winnow.contract.target_rules.load import rules_of
from winnow.contract.targets import TargetInfo, Targets

router = Router(prefix="/v1", tags=["jobs"])


@router.get("/targets", operation_id="list_targets", responses=documented())
def list_targets(service: Service) -> Targets:
    """Runtimes that models can be made for: what each takes with its source, and whether a worker has it."""
    workers = service.records.workers(time.time() - FORGET_WORKER_SECONDS)
    there = {name for worker in workers for name in worker.runtimes}
    return Targets(items=[_shown(target, there) for target in JOB_TARGETS])


def _shown(target: JobTarget, there: set[str]) -> TargetInfo:
    rules = rules_of(target)
    return TargetInfo(
        name=target,
        title=rules.title,
        checked_by_rules=checked_by_rules(target) is not None,
        timed_on=measured_on(target),
        measurable=measured_on(target) in there,
        rules=rules,
    )
