"""`/v1/keys`: API keys, for administrators."""

from fastapi import Depends, Request, Response

from app.access.keys import new_key
from app.api.deps import KeyId, Service
from app.api.pages import Listed, Paged, listed
from app.api.problems import documented
from app.api.router import Router
from app.api.times import at, maybe_at, now, seconds
from app.storage import records
from app.storage.ports import Conflict
from winnow.contract.access import Key, KeyRequest, MadeKey
from winnow.contract.errors import Refusal


def _takes_keys(service: Service) -> None:
    """Where nobody is wanted who they are, nobody leaves a key behind for when somebody will be."""
    auth = service.settings.auth
    if auth != "keys":
        detail = (
            f"This service takes no keys (WINNOW_AUTH={auth}). On its own machine `winnow keys` makes them."
        )
        raise Refusal("keys_disabled", detail)


router = Router(prefix="/v1/keys", tags=["access"], access="admin", dependencies=[Depends(_takes_keys)])


@router.post(
    "",
    status_code=201,
    operation_id="create_key",
    responses=documented("keys_disabled", "malformed_request", "unsupported_media_type"),
)
def create_key(wanted: KeyRequest, response: Response, service: Service) -> MadeKey:
    """Make a key. Its text is in this answer and nowhere else."""
    then, until = now(), seconds(wanted.expires_at)
    if until is not None and until <= then:
        raise Refusal(
            "invalid_request", "A key expires in the future; that time is over.", field="expires_at"
        )
    key, text = new_key(wanted.owner, wanted.name, wanted.scopes, then, until)
    service.records.add_key(key)
    response.headers["location"] = f"/v1/keys/{key.id}"
    return MadeKey(**_shown(key).model_dump(), key=text)


@router.get("", operation_id="list_keys", responses=documented("keys_disabled"))
def list_keys(request: Request, service: Service, page: Paged) -> Listed[Key]:
    """Of all owners, newest first; also those that were revoked or have expired."""
    items, next = listed(
        request, page, "key", service.records.keys, lambda keys: [_shown(key) for key in keys]
    )
    return Listed(items=items, next=next)


@router.get("/{id}", operation_id="get_key", responses=documented("keys_disabled", "not_found"))
def get_key(id: KeyId, service: Service) -> Key:
    """All but its text."""
    key = service.records.key(id)
    if key is None:
        raise _no_key(id)
    return _shown(key)


@router.delete(
    "/{id}",
    status_code=204,
    operation_id="revoke_key",
    responses=documented("keys_disabled", "not_found", "last_admin_key"),
)
def revoke_key(id: KeyId, service: Service) -> None:
    """Revoke it for good, with the sessions that were made from it. It stays in the list."""
    try:
        if service.records.revoke_key(id, now()) is None:
            raise _no_key(id)
    except Conflict as error:
        detail = f"Nobody could administer any more: {error}. Make another one with the scope admin first."
        raise Refusal("last_admin_key", detail) from error


def _no_key(id: str) -> Refusal:
    return Refusal("not_found", f"There is no key {id!r}.")


def _shown(key: records.Key) -> Key:
    return Key.model_validate(
        {
            "id": key.id,
            "name": key.name,
            "owner": key.owner,
            "scopes": [*key.scopes],
            "created_at": at(key.created_at),
            "expires_at": maybe_at(key.expires_at),
            "last_used_at": maybe_at(key.last_used_at),
            "revoked_at": maybe_at(key.revoked_at),
        }
    )
