"""The port `Uploads` in memory."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from app.storage import rules
from app.storage.kinds import check_id
from app.storage.memory_base import MemoryStore, paged
from app.storage.ports import Conflict, InUse
from app.storage.records import Inquiry, Job, Page, Upload, UploadKind


class MemoryUploads(MemoryStore):
    def add_upload(self, upload: Upload) -> tuple[Upload, bool]:
        check_id(upload)
        with self._lock:
            same = next(filter(_same_identity(upload), self._all(Upload)), None)
            if same is None:
                return self._put(upload, published=upload.created_at), True
            if same.state == "ready":  # sent again: it is as young as a new one
                self._published[same.id] = max(self._published[same.id], upload.created_at)
            if same.state != "rejected":
                return deepcopy(same), False
            again = replace(same, **rules.inspecting_again(same, upload.max_attempts))
            return self._put(again, published=upload.created_at), True

    def upload(self, owner: str, kind: UploadKind, id: str) -> Upload | None:
        with self._lock:
            known = self._get(Upload, id)
            return deepcopy(known) if known and (known.owner, known.kind) == (owner, kind) else None

    def uploads(self, owner: str, kind: UploadKind, page: Page) -> list[Upload]:
        with self._lock:
            return paged((u for u in self._all(Upload) if (u.owner, u.kind) == (owner, kind)), page)

    def declare(
        self, owner: str, id: str, declaration: dict[str, Any], more_attempts: int = 3
    ) -> Upload | None:
        with self._lock:
            upload = self.upload(owner, "dataset", id)
            if upload is None:
                return None
            if used := [job.id for job in self._all(Job) if id in job.uses]:
                raise Conflict(f"{id} is used by {', '.join(used)}")
            changed = replace(upload, declaration=declaration)
            for other in filter(_same_identity(changed), self._all(Upload)):
                if other.id != id:
                    raise Conflict(f"{other.id} has the same content and declaration")
            return self._put(replace(changed, **rules.inspecting_again(upload, more_attempts)))

    def delete_upload(self, owner: str, kind: UploadKind, id: str) -> bool:
        with self._lock:
            upload = self.upload(owner, kind, id)
            if upload is None:
                return False
            if using := [j.id for j in self._all(Job) if id in j.uses and rules.unfinished(j)]:
                raise InUse(sorted(using))
            self._remove([upload, *(i for i in self._all(Inquiry) if id in (i.model, i.dataset))])
            return True


def _same_identity(upload: Upload) -> Callable[[Upload], bool]:
    wanted = rules.identity(upload)
    return lambda other: rules.identity(other) == wanted
