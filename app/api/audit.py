"""`GET /v1/audit`: who did what, for administrators. `app.api.guard` makes the entries."""

from fastapi import Request

from app.api.deps import Service
from app.api.pages import Listed, Paged, listed
from app.api.problems import documented
from app.api.router import Router
from app.api.times import at
from app.storage.records import Audited
from winnow.contract.access import AuditEntry

router = Router(prefix="/v1/audit", tags=["access"], access="admin")


@router.get("", operation_id="list_audit", responses=documented())
def list_audit(request: Request, service: Service, page: Paged) -> Listed[AuditEntry]:
    """Everything that changed something, or was to, of all owners, newest first."""
    items, next = listed(
        request, page, "aud", service.records.audited, lambda entries: [_shown(entry) for entry in entries]
    )
    return Listed(items=items, next=next)


def _shown(entry: Audited) -> AuditEntry:
    values = {name: value for name, value in vars(entry).items() if name != "created_at"}
    return AuditEntry.model_validate({**values, "time": at(entry.created_at)})
