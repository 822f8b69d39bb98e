"""The port `Uploads` in SQL."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.storage import rules
from app.storage.kinds import check_id
from app.storage.ports import Conflict, InUse
from app.storage.records import Page, Upload, UploadKind
from app.storage.sql_base import SqlStore, from_row, locked, paged, unless_raced
from app.storage.tables import job_uses, jobs, uploads
from winnow.contract.job import FINISHED

_NAMED: Final = select(uploads).where(
    *(uploads.c[name] == bindparam(name) for name in ("id", "owner", "kind"))
)


class SqlUploads(SqlStore):
    def add_upload(self, upload: Upload) -> tuple[Upload, bool]:
        check_id(upload)
        return unless_raced(lambda: self._add_upload(upload))

    def _add_upload(self, upload: Upload) -> tuple[Upload, bool]:
        identity = rules.identity(upload)
        with self.writing() as connection:
            row = locked(connection, uploads.c.identity == identity, uploads)
            if row is None:
                new = {**vars(upload), "identity": identity, "published_at": upload.created_at}
                connection.execute(insert(uploads).values(new))
                return upload, True
            same = from_row(Upload, row)
            if same.state == "ready":  # sent again: it is as young as a new one
                _set(connection, same.id, {"published_at": max(row.published_at, upload.created_at)})
            if same.state != "rejected":
                return same, False
            again = rules.inspecting_again(same, upload.max_attempts)
            return _set(connection, same.id, {**again, "published_at": upload.created_at}), True

    def upload(self, owner: str, kind: UploadKind, id: str) -> Upload | None:
        with self.reading() as connection:
            row = connection.execute(_NAMED, {"owner": owner, "kind": kind, "id": id}).one_or_none()
        return None if row is None else from_row(Upload, row)

    def uploads(self, owner: str, kind: UploadKind, page: Page) -> list[Upload]:
        query = select(uploads).where(uploads.c.owner == owner, uploads.c.kind == kind)
        with self.reading() as connection:
            return [from_row(Upload, row) for row in connection.execute(paged(query, uploads, page))]

    def declare(
        self, owner: str, id: str, declaration: dict[str, Any], more_attempts: int = 3
    ) -> Upload | None:
        try:
            with self.writing() as connection:
                return _declare(connection, owner, id, declaration, more_attempts)
        except IntegrityError as error:
            raise Conflict("another dataset has the same content and declaration") from error

    def delete_upload(self, owner: str, kind: UploadKind, id: str) -> bool:
        with self.writing() as connection:
            if locked(connection, _named(owner, kind, id), uploads) is None:
                return False
            if using := _jobs_that_use(connection, id, jobs.c.state.not_in(FINISHED)):
                raise InUse(using)
            connection.execute(delete(uploads).where(uploads.c.id == id))
            return True


def _declare(
    connection: Connection, owner: str, id: str, declaration: dict[str, Any], more_attempts: int
) -> Upload | None:
    row = locked(connection, _named(owner, "dataset", id), uploads)
    if row is None:
        return None
    if used := _jobs_that_use(connection, id):
        raise Conflict(f"{id} is used by {', '.join(used)}")
    changes = rules.declaring(from_row(Upload, row), declaration, more_attempts)
    same = (uploads.c.identity == changes["identity"]) & (uploads.c.id != id)
    if other := connection.execute(select(uploads.c.id).where(same)).scalar():
        raise Conflict(f"{other} has the same content and declaration")
    return _set(connection, id, changes)


def _named(owner: str, kind: UploadKind, id: str) -> ColumnElement[bool]:
    return (uploads.c.id == id) & (uploads.c.owner == owner) & (uploads.c.kind == kind)


def _jobs_that_use(connection: Connection, id: str, *conditions: ColumnElement[bool]) -> list[str]:
    query = select(jobs.c.id).join(job_uses, job_uses.c.job == jobs.c.id).where(job_uses.c.upload == id)
    return list(connection.execute(query.where(*conditions).order_by(jobs.c.id)).scalars())


def _set(connection: Connection, id: str, changes: rules.Changes) -> Upload:
    changed = update(uploads).where(uploads.c.id == id).values(changes).returning(uploads)
    return from_row(Upload, connection.execute(changed).one())
