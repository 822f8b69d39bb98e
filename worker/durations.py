"""Remember what the parts of a finished job took, for forecasts of others like it."""

import logging
import time
from pathlib import Path

from app.storage.ports import Records
from app.storage.records import Duration, Job
from winnow.contract.dataset import DatasetFacts
from winnow.contract.forecast.workload import Workload, workloads
from winnow.contract.job import ClosedJob
from winnow.contract.model import ModelFacts
from winnow.contract.needed_data import uses
from winnow.contract.report import Report
from worker.closed_request import closed_request
from worker.job_output import read_report

log = logging.getLogger(__name__)

MAX_CPU_CHARACTERS = 200


def measured_durations(
    records: Records, job: Job, folder: Path, seconds: float, peak_bytes: int
) -> list[Duration]:
    """Tell what each step took, and, of a first attempt, what was left of its `seconds` for measuring.

    Nothing where an upload is gone or anything else is amiss: no job is lost for that.
    """
    try:
        request, report = closed_request(job), read_report(folder)
        parts = zip(_workloads(records, job, request), _seconds(job, report, seconds), strict=False)
        return [_duration(job, part, took, report, peak_bytes) for part, took in parts]
    except Exception as error:
        log.warning("%s: what it took could not be kept: %s", job.id, error)
        return []


def keep_durations(records: Records, durations: list[Duration]) -> None:
    """Keep them; no job is lost for that."""
    try:
        records.add_durations(durations)
    except Exception as error:
        log.warning("what a job took could not be kept: %s", error)


def _seconds(job: Job, report: Report, seconds: float) -> list[float]:
    """Of all steps, which an earlier attempt may have done; then of the rest, if this attempt did all of it."""
    steps = [step.seconds for step in report.steps]
    return [*steps, max(0.0, seconds - sum(steps))] if job.attempt == 1 else steps


def _workloads(records: Records, job: Job, request: ClosedJob) -> list[Workload]:
    model = records.upload(job.owner, "model", request.model)
    assert model is not None
    datasets = {}
    for use in uses(request.data).values():
        dataset = records.upload(job.owner, "dataset", use.dataset)
        assert dataset is not None
        datasets[use.dataset] = DatasetFacts.model_validate(dataset.facts)
    return workloads(request, ModelFacts.model_validate(model.facts), datasets)


def _duration(job: Job, part: Workload, seconds: float, report: Report, peak_bytes: int) -> Duration:
    return Duration(
        job=job.id,
        seconds=seconds,
        memory_bytes=peak_bytes,
        cpu=report.environment.cpu[:MAX_CPU_CHARACTERS],
        finished_at=time.time(),
        **vars(part),
    )
