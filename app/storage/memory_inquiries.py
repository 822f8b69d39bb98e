"""The port `Inquiries` in memory."""

from copy import deepcopy
from dataclasses import replace

from app.storage import rules
from app.storage.kinds import check_id
from app.storage.memory_base import MemoryStore
from app.storage.ports import Gone
from app.storage.records import Inquiry, Job, Upload


class MemoryInquiries(MemoryStore):
    def add_inquiry(self, inquiry: Inquiry) -> tuple[Inquiry, bool]:
        check_id(inquiry)
        identity = rules.inquiry_identity(inquiry)
        with self._lock:
            self._check_there(inquiry)
            known = (i for i in self._all(Inquiry) if rules.inquiry_identity(i) == identity)
            same = next(known, None)
            if same is None:
                return self._put(inquiry, published=inquiry.created_at), True
            if same.state != "rejected":
                return deepcopy(same), False
            again = replace(same, **rules.asked_again(same, inquiry.max_attempts))
            return self._put(again, published=inquiry.created_at), True

    def _check_there(self, inquiry: Inquiry) -> None:
        if inquiry.job is not None:
            job = self._get(Job, inquiry.job)
            if job is None or job.owner != inquiry.owner:
                raise Gone(inquiry.job)
            return
        for id, kind in sorted({(str(inquiry.model), "model"), (str(inquiry.dataset), "dataset")}):
            upload = self._get(Upload, id)
            if upload is None or (upload.owner, upload.kind) != (inquiry.owner, kind):
                raise Gone(id)

    def inquiry(self, owner: str, id: str) -> Inquiry | None:
        with self._lock:
            known = self._get(Inquiry, id)
            return deepcopy(known) if known and known.owner == owner else None
