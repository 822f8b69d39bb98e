"""The port `Retention` in memory."""

from dataclasses import replace

from app.storage.memory_base import MemoryStore
from app.storage.memory_jobs import MemoryJobs
from app.storage.memory_uploads import MemoryUploads
from app.storage.records import Expired, Expiry, Job, Upload


class MemoryRetention(MemoryUploads, MemoryJobs, MemoryStore):
    def pin(self, owner: str, id: str, pinned: bool) -> bool:
        with self._lock:
            item = self._items.get(id)
            if not isinstance(item, Upload | Job) or item.owner != owner:
                return False
            self._put(replace(item, pinned=pinned))
            return True

    def expired(self, expiry: Expiry) -> list[Expired]:
        with self._lock:
            if expiry.kind == "job":
                jobs = [job for job in self._all(Job) if _is_old(job, _age_of(job), expiry)]
                return [
                    self._expired_job(job) for job in sorted(jobs, key=lambda job: (job.created_at, job.id))
                ]
            uploads = [
                upload
                for upload in self._all(Upload)
                if upload.kind == expiry.kind and _is_old(upload, self._published[upload.id], expiry)
            ]
            oldest = sorted(uploads, key=lambda upload: (self._published[upload.id], upload.id))
            return [self._expired_upload(upload) for upload in oldest]

    def expire(self, expiry: Expiry, limit: int) -> list[Expired]:
        with self._lock:
            removed = [old for old in self.expired(expiry) if not old.used_by][:limit]
            for old in removed:
                if old.kind == "job":
                    self.delete_job(old.owner, old.id)
                else:
                    self.delete_upload(old.owner, old.kind, old.id)
            return removed

    def _expired_job(self, job: Job) -> Expired:
        assert job.finished_at is not None
        return Expired(
            kind="job",
            id=job.id,
            owner=job.owner,
            state=job.state,
            since=job.finished_at,
            size_bytes=(job.artifact_bytes or 0) + (job.curves_bytes or 0),
        )

    def _expired_upload(self, upload: Upload) -> Expired:
        return Expired(
            kind=upload.kind,
            id=upload.id,
            owner=upload.owner,
            state=upload.state,
            since=self._published[upload.id],
            size_bytes=upload.size_bytes,
            used_by=frozenset(job.id for job in self._all(Job) if upload.id in job.uses),
        )


def _age_of(job: Job) -> float | None:
    """An imported job was finished before it was made here."""
    return None if job.finished_at is None else max(job.created_at, job.finished_at)


def _is_old(item: Upload | Job, since: float | None, expiry: Expiry) -> bool:
    return item.state == expiry.state and not item.pinned and since is not None and since < expiry.before
