"""The ports `Audit` and `Usage` in memory."""

from app.storage import rules
from app.storage.memory_base import MemoryStore, paged
from app.storage.records import Audited, Job, Page, Trial, Upload


class MemoryUsage(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self._audited: list[Audited] = []

    def add_audited(self, entry: Audited) -> None:
        with self._lock:
            self._audited.append(entry)

    def audited(self, page: Page) -> list[Audited]:
        with self._lock:
            return paged(self._audited, page)

    def stored_bytes(self, owner: str) -> int:
        with self._lock:
            uploads = [upload.size_bytes for upload in self._all(Upload) if upload.owner == owner]
            jobs = [job for job in self._all(Job) if job.owner == owner]
            trials = [trial.artifact_bytes for trial in self._all(Trial) if trial.owner == owner]
        made = [size for job in jobs for size in (job.artifact_bytes, job.curves_bytes)]
        return sum(size or 0 for size in (*uploads, *made, *trials))

    def open_jobs(self, owner: str) -> int:
        with self._lock:
            return sum(job.owner == owner and rules.unfinished(job) for job in self._all(Job))
