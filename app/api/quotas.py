"""What one owner may take, and how much of the disk stays free: asked before something is stored, told by `/v1/limits`.

An owner's requests that come at the same moment are asked beside each other, and may pass a bound by what each brings.
"""

import shutil
from typing import Final

from app.api.deps import Parts
from app.settings import Settings
from winnow.contract.errors import Refusal

RETRY_JOBS_SECONDS: Final = 30


def check_bytes(parts: Parts, owner: str, more: int) -> None:
    """Before `more` bytes are stored. Raises `quota_exceeded`, `disk_full`."""
    check_disk(parts.settings, more)
    check_stored(parts, owner, more)


def check_stored(parts: Parts, owner: str, more: int) -> None:
    """Before a record names `more` bytes, 0 for what a job will make. Raises `quota_exceeded`."""
    most = parts.settings.max_stored_bytes
    if most is None:
        return
    stored = parts.records.stored_bytes(owner)
    if stored + max(more, 1) > most:
        raise Refusal(
            "quota_exceeded",
            f"One owner may store {most} bytes; {stored} are stored, and {more} more do not fit. Delete uploads and "
            "jobs that are no longer needed; the operator sets this with WINNOW_MAX_STORED_BYTES.",
        )


def check_job(parts: Parts, owner: str) -> None:
    """Before a job is queued. Raises `too_many_jobs`, and what `check_bytes` does."""
    check_bytes(parts, owner, 0)
    most = parts.settings.max_open_jobs
    if most is not None and parts.records.open_jobs(owner) >= most:
        raise Refusal(
            "too_many_jobs",
            f"One owner may have {most} jobs that have not finished. Wait until one has, or cancel one; the operator "
            "sets this with WINNOW_MAX_OPEN_JOBS.",
            retry_after=RETRY_JOBS_SECONDS,
        )


def check_disk(settings: Settings, more: int) -> None:
    """Whether the disk of the data folder keeps its reserve when `more` bytes have come; where there is no such folder,
    nothing is kept on it. Raises `disk_full`."""
    try:
        free = shutil.disk_usage(settings.data_dir).free
    except FileNotFoundError:
        return
    if free - more < settings.keep_free_bytes:
        raise Refusal(
            "disk_full",
            f"The service's disk has {free} bytes left, of which {settings.keep_free_bytes} stay free for what is at "
            "work. Try again later, or tell its operator, who sets this with WINNOW_KEEP_FREE_BYTES.",
        )
