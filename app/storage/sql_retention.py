"""The port `Retention` in SQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, exists, func, select, update

from app.storage.kinds import kind_of
from app.storage.records import Expired, Expiry, Job
from app.storage.sql_base import SqlStore
from app.storage.tables import job_uses, jobs, studies, uploads

Condition = ColumnElement[bool]


class SqlRetention(SqlStore):
    def pin(self, owner: str, id: str, pinned: bool) -> bool:
        t = jobs if kind_of(id) is Job else uploads
        changed = update(t).where(t.c.id == id, t.c.owner == owner).values(pinned=pinned)
        with self.writing() as connection:
            return connection.execute(changed).rowcount == 1

    def expired(self, expiry: Expiry) -> list[Expired]:
        with self.reading() as connection:
            rows = connection.execute(_selected(expiry)).all()
            used_by = {} if expiry.kind == "job" else _used_by(connection, expiry)
        return [_expired(expiry, row, used_by.get(row.id, frozenset())) for row in rows]

    def expire(self, expiry: Expiry, limit: int) -> list[Expired]:
        with self.writing() as connection:
            rows = _locked(connection, expiry, limit)
            t = jobs if expiry.kind == "job" else uploads
            still = [t.c.id.in_([row.id for row in rows]), *_conditions(expiry), *_unused(expiry)]
            removed = set(connection.execute(delete(t).where(*still).returning(t.c.id)).scalars())
        return [_expired(expiry, row, frozenset()) for row in rows if row.id in removed]


def _selected(expiry: Expiry) -> Select[Any]:
    """The oldest first."""
    if expiry.kind == "job":
        size = func.coalesce(jobs.c.artifact_bytes, 0) + func.coalesce(jobs.c.curves_bytes, 0)
        columns = (jobs.c.id, jobs.c.owner, jobs.c.finished_at.label("since"), size.label("size_bytes"))
        return select(*columns).where(*_conditions(expiry)).order_by(jobs.c.created_at, jobs.c.id)
    since, size = uploads.c.published_at, uploads.c.size_bytes
    columns = (uploads.c.id, uploads.c.owner, since.label("since"), size.label("size_bytes"))
    return select(*columns).where(*_conditions(expiry)).order_by(since, uploads.c.id)


def _conditions(expiry: Expiry) -> list[Condition]:
    """An index has when a job was made, which is before it was finished, unless it was imported."""
    if expiry.kind == "job":
        made, ended = jobs.c.created_at < expiry.before, jobs.c.finished_at < expiry.before
        return [jobs.c.state == expiry.state, made, ended, ~jobs.c.pinned]
    t = uploads.c
    return [t.state == expiry.state, t.published_at < expiry.before, t.kind == expiry.kind, ~t.pinned]


def _unused(expiry: Expiry) -> list[Condition]:
    return [] if expiry.kind == "job" else [~exists().where(job_uses.c.upload == uploads.c.id)]


def _locked(connection: Connection, expiry: Expiry, limit: int) -> Sequence[Row[Any]]:
    """What nobody else can change, or begin to use, before the transaction ends; of a search its study first, as
    whoever changes one does."""
    chosen = _selected(expiry).where(*_unused(expiry)).limit(limit)
    if expiry.kind != "job":
        return connection.execute(chosen.with_for_update(skip_locked=True)).all()
    ids = [row.id for row in connection.execute(chosen)]
    of_these = select(studies.c.id).where(studies.c.job.in_(ids)).order_by(studies.c.id)
    connection.execute(of_these.with_for_update()).all()
    return connection.execute(
        _selected(expiry).where(jobs.c.id.in_(ids)).with_for_update(skip_locked=True)
    ).all()


def _used_by(connection: Connection, expiry: Expiry) -> dict[str, frozenset[str]]:
    old = select(uploads.c.id).where(*_conditions(expiry))
    uses: dict[str, set[str]] = {}
    for row in connection.execute(select(job_uses).where(job_uses.c.upload.in_(old))):
        uses.setdefault(row.upload, set()).add(row.job)
    return {id: frozenset(users) for id, users in uses.items()}


def _expired(expiry: Expiry, row: Row[Any], used_by: frozenset[str]) -> Expired:
    return Expired(
        kind=expiry.kind,
        id=row.id,
        owner=row.owner,
        state=expiry.state,
        since=row.since,
        size_bytes=row.size_bytes,
        used_by=used_by,
    )
