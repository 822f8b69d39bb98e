"""Records in this process's memory, behind one lock. For tests, and to show what a store has to do."""

from collections.abc import Collection, Sequence
from copy import deepcopy
from dataclasses import replace

from app.storage import rules
from app.storage.memory_checkpoints import MemoryCheckpoints
from app.storage.memory_inquiries import MemoryInquiries
from app.storage.memory_jobs import MemoryJobs
from app.storage.memory_keys import MemoryKeys
from app.storage.memory_leases import MemoryLeases
from app.storage.memory_retention import MemoryRetention
from app.storage.memory_studies import MemoryStudies
from app.storage.memory_tally import MemoryTallies
from app.storage.memory_transfers import MemoryTransfers
from app.storage.memory_uploads import MemoryUploads
from app.storage.memory_usage import MemoryUsage
from app.storage.memory_webhooks import MemoryWebhooks
from app.storage.records import MAX_DURATIONS, Duration, Inquiry, Job, Trial, Upload, Worker


class MemoryRecords(
    MemoryRetention,
    MemoryUploads,
    MemoryInquiries,
    MemoryJobs,
    MemoryStudies,
    MemoryLeases,
    MemoryKeys,
    MemoryUsage,
    MemoryTallies,
    MemoryWebhooks,
    MemoryTransfers,
    MemoryCheckpoints,
):
    """`app.storage.ports.Records`, thread-safe, gone with the process."""

    def ping(self) -> None:
        pass

    def worker_seen(self, worker: Worker, forget_before: float) -> None:
        with self._lock:
            kept = {id: known for id, known in self._workers.items() if known.last_seen >= forget_before}
            known = kept.get(worker.id, worker)
            self._workers = kept | {worker.id: deepcopy(replace(worker, draining=known.draining))}

    def worker(self, id: str) -> Worker | None:
        with self._lock:
            return deepcopy(self._workers.get(id))

    def drain(self, id: str, draining: bool = True) -> Worker | None:
        with self._lock:
            if id in self._workers:
                self._workers[id] = replace(self._workers[id], draining=draining)
            return self.worker(id)

    def workers(self, seen_since: float) -> list[Worker]:
        with self._lock:
            lately = [worker for worker in self._workers.values() if worker.last_seen >= seen_since]
            return deepcopy(sorted(lately, key=lambda worker: (worker.started_at, worker.id)))

    def live_blobs(self, without: Collection[str] = frozenset()) -> set[str]:
        with self._lock:
            uploads = [upload for upload in self._all(Upload) if upload.id not in without]
            jobs = [job for job in self._all(Job) if job.id not in without]
            trials = [trial for trial in self._all(Trial) if trial.job not in without]
            inquiries = [
                i for i in self._all(Inquiry) if not {i.model, i.dataset, i.job}.intersection(without)
            ]
            kept = {c.sha256 for c in self._checkpoints.values() if rules.unfinished(self._items[c.item])}
        of_uploads = {name for upload in uploads for name in (upload.sha256, upload.converted)}
        of_jobs = {getattr(job, name) for job in jobs for name in rules.MADE}
        of_trials = {getattr(trial, name) for trial in trials for name in rules.TRIAL_MADE}
        of_inquiries = {inquiry.answer_sha256 for inquiry in inquiries}
        return {name for name in of_uploads | of_inquiries | of_jobs | of_trials | kept if name is not None}

    def add_durations(self, durations_of_job: Sequence[Duration]) -> None:
        with self._lock:
            self._durations = [*self._durations, *durations_of_job][-MAX_DURATIONS:]

    def durations(self, kind: str, operators: str, limit: int) -> list[Duration]:
        with self._lock:
            newest = reversed(self._durations)
            return [d for d in newest if (d.kind, d.operators) == (kind, operators)][:limit]
