"""The report of a job, read from its blob: what routes and pages tell of it beside its bytes."""

import logging
from typing import Final

from pydantic import ValidationError

from app.api.artifacts import made
from app.api.deps import Parts
from app.storage.records import Job
from winnow.contract.errors import Refusal
from winnow.contract.report import Report

log = logging.getLogger(__name__)

MAX_REPORT_BYTES: Final = 64 * 2**20
"""Larger ones are to be downloaded: nothing of this size is read here."""


def stored_report(parts: Parts, job: Job) -> Report:
    """Raises `job_not_finished`, `no_artifact`, also for one that cannot be read, and `storage_unavailable`."""
    sha256 = made(job, job.report_sha256)
    file = parts.blobs.open(sha256)
    if file is None:
        raise Refusal(
            "storage_unavailable", f"The report of {job.id} is missing in the store. Tell its operator."
        )
    with file:
        content = file.read(MAX_REPORT_BYTES + 1)
    try:
        return Report.model_validate_json(content, extra="ignore")
    except ValidationError as error:
        log.warning(
            "the report of %s cannot be read: %d fields are not as expected", job.id, error.error_count()
        )
        detail = f"The report of {job.id} is not as this version writes it; download it by itself."
        raise Refusal("no_artifact", detail) from error
