"""`GET /v1/compare`: finished jobs beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Query
from pydantic import AfterValidator

from app.api import examples
from app.api.deps import Owner, Parts, Service
from app.api.jobs import no_job
from app.api.problems import documented
from app.api.router import Router
from app.api.stored_reports import stored_report
from app.api.times import at
from app.storage import records
from winnow.contract.comparison import (
    MAX_JOBS,
    MIN_JOBS,
    ComparedJob,
    ComparedMetric,
    ComparedSpeed,
    Comparison,
)
from winnow.contract.errors import Refusal, Refusals
from winnow.contract.report import Report
from winnow.contract.trial import Costs, pareto

router = Router(prefix="/v1/compare", tags=["results"])

FIELD: Final = "jobs"
MAX_CHARACTERS: Final = 2000


def ids_in(text: str) -> list[str]:
    """Each once. Raises ValueError unless as many are named as can be compared."""
    ids = text.split(",")
    if not MIN_JOBS <= len(ids) <= MAX_JOBS or not all(ids):
        came = sum(map(bool, ids))
        raise ValueError(
            f"{MIN_JOBS} to {MAX_JOBS} jobs are compared, with commas between their ids; {came} came"
        )
    return [*dict.fromkeys(ids)]


def _check(text: str) -> str:
    ids_in(text)
    return text


Jobs = Annotated[
    str,
    AfterValidator(_check),
    Query(
        min_length=1,
        max_length=MAX_CHARACTERS,
        description=f"Ids of {MIN_JOBS} to {MAX_JOBS} finished jobs, with commas between them.",
        examples=[f"{examples.JOB},{examples.OTHER_JOB}"],
        json_schema_extra={"pattern": f"^[^,]+(,[^,]+){{{MIN_JOBS - 1},{MAX_JOBS - 1}}}$"},
    ),
]


@dataclass(frozen=True)
class _Told:
    """What is left of a report once it was read: twenty of them are not held at one time."""

    headline: ComparedJob
    costs: Costs
    source: str
    timed: tuple[object, ...]
    judged: str | None


@router.get(
    "",
    operation_id="compare_jobs",
    responses=documented("not_found", "job_not_finished", "no_artifact", "storage_unavailable"),
)
def compare_jobs(service: Service, owner: Owner, jobs: Jobs) -> Comparison:
    """What the reports of several jobs say: size, speed, quality, and which of them no other one beats."""
    read: list[_Told] = []
    refusals = Refusals()
    for id in ids_in(jobs):
        with refusals:
            read.append(_read(service, owner, id))
    refusals.raise_all()
    front = pareto({index: told.costs for index, told in enumerate(read)})
    items = [told.headline.model_copy(update={"pareto": index in front}) for index, told in enumerate(read)]
    return Comparison(items=items, notes=_notes(read))


def _read(parts: Parts, owner: str, id: str) -> _Told:
    """Raises what `stored_report` does, and says of which job."""
    if (job := parts.records.job(owner, id)) is None:
        raise Refusal("not_found", no_job(id).problem.detail, field=FIELD)
    try:
        report = stored_report(parts, job)
    except Refusal as refusal:
        raise Refusal(refusal.problem.code, f"{id}: {refusal.problem.detail}", field=FIELD) from refusal
    judged = _judged(job) if report.quality else None
    return _Told(_headline(job, report), _costs(report), report.source_sha256, _timed(report), judged)


def _costs(report: Report) -> Costs:
    """As of a search's trials: what was not measured costs everything."""
    speedup = report.latency[0].speedup if report.latency else None
    return Costs(
        size_bytes=float(report.size_bytes.after),
        latency=1 / speedup if speedup else float("inf"),
        loss=report.quality[0].drop if report.quality else float("inf"),
    )


def _headline(job: records.Job, report: Report) -> ComparedJob:
    """`pareto` is told when all are known."""
    return ComparedJob(
        id=job.id,
        name=job.request.get("name"),
        model=job.model,
        recipe=[step.kind for step in report.steps],
        outcome=report.outcome,
        recommend=report.verdict.recommend,
        size_bytes=report.size_bytes,
        parameters=report.parameters,
        macs=report.macs,
        peak_rss_bytes=report.peak_rss_bytes,
        speed=_speed(report),
        metrics={
            entry.metric: ComparedMetric(
                samples=entry.samples,
                before=entry.before,
                after=entry.after,
                drop=entry.drop,
                interval=entry.drop_interval,
            )
            for entry in report.quality
        },
        requirements=report.requirements,
        pareto=False,
        cpu=report.environment.cpu,
        finished_at=at(job.finished_at or job.created_at),
    )


def _speed(report: Report) -> ComparedSpeed | None:
    if not report.latency:
        return None
    timed = report.latency[0]
    return ComparedSpeed(
        batch_size=timed.batch_size,
        threads=timed.threads,
        before_ms=timed.baseline_ms.p50,
        after_ms=timed.candidate_ms.p50,
        speedup=timed.speedup,
        interval=timed.speedup_interval,
    )


def _notes(read: Sequence[_Told]) -> list[str]:
    """What makes figures of two jobs no figures of the same thing."""
    notes = []
    if len({told.source for told in read}) > 1:
        notes.append("The jobs compressed different models: ratios and losses are each job's own.")
    if len({told.headline.cpu for told in read}) > 1:
        notes.append("They were measured on different CPUs: milliseconds cannot be held against each other.")
    if len({told.timed for told in read}) > 1:
        notes.append("They were timed with different batch sizes, threads or runtimes.")
    if len({told.judged for told in read} - {None}) > 1:
        notes.append("Quality was judged on different data or by different metrics.")
    return notes


def _timed(report: Report) -> tuple[object, ...]:
    return tuple((first.batch_size, first.threads, first.provider) for first in report.latency[:1])


def _judged(job: records.Job) -> str:
    data, evaluation = job.request.get("data") or {}, job.request.get("evaluation")
    return repr((data.get("dataset"), data.get("evaluation"), job.request.get("seed"), evaluation))
