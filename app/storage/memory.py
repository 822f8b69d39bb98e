"""Records in this process's memory, behind one lock. For tests, and to show what a store has to do."""

from collections.abc import Sequence
from copy import deepcopy

from app.storage import rules
from app.storage.memory_checkpoints import MemoryCheckpoints
from app.storage.memory_inquiries import MemoryInquiries
from app.storage.memory_jobs import MemoryJobs
from app.storage.memory_leases import MemoryLeases
from app.storage.memory_studies import MemoryStudies
from app.storage.memory_uploads import MemoryUploads
from app.storage.records import MAX_DURATIONS, Duration, Inquiry, Job, Trial, Upload, Worker


class MemoryRecords(
    MemoryUploads, MemoryInquiries, MemoryJobs, MemoryStudies, MemoryLeases, MemoryCheckpoints
):
    """`app.storage.ports.Records`, thread-safe, gone with the process."""

    def __init__(self) -> None:
        super().__init__()
        self._durations: list[Duration] = []

    def ping(self) -> None:
        pass

    def worker_seen(self, worker: Worker, forget_before: float) -> None:
        with self._lock:
            kept = {id: known for id, known in self._workers.items() if known.last_seen >= forget_before}
            self._workers = kept | {worker.id: deepcopy(worker)}

    def workers(self, seen_since: float) -> list[Worker]:
        with self._lock:
            lately = [worker for worker in self._workers.values() if worker.last_seen >= seen_since]
            return deepcopy(sorted(lately, key=lambda worker: (worker.started_at, worker.id)))

    def live_blobs(self) -> set[str]:
        with self._lock:
            of_uploads = {name for u in self._all(Upload) for name in (u.sha256, u.converted)}
            of_jobs = {getattr(job, name) for job in self._all(Job) for name in rules.MADE}
            of_trials = {getattr(trial, name) for trial in self._all(Trial) for name in rules.TRIAL_MADE}
            of_inquiries = {inquiry.answer_sha256 for inquiry in self._all(Inquiry)}
            kept = {c.sha256 for c in self._checkpoints.values() if rules.unfinished(self._items[c.item])}
        return {name for name in of_uploads | of_inquiries | of_jobs | of_trials | kept if name is not None}

    def add_durations(self, durations_of_job: Sequence[Duration]) -> None:
        with self._lock:
            self._durations = [*self._durations, *durations_of_job][-MAX_DURATIONS:]

    def durations(self, kind: str, operators: str, limit: int) -> list[Duration]:
        with self._lock:
            newest = reversed(self._durations)
            return [d for d in newest if (d.kind, d.operators) == (kind, operators)][:limit]
