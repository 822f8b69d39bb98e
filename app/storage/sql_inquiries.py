"""The port `Inquiries` in SQL."""

from sqlalchemy import Connection, insert, select, update

from app.storage import rules
from app.storage.kinds import check_id
from app.storage.ports import Gone
from app.storage.records import Inquiry
from app.storage.sql_base import SqlStore, from_row, locked, unless_raced
from app.storage.tables import inquiries, jobs, uploads


class SqlInquiries(SqlStore):
    def add_inquiry(self, inquiry: Inquiry) -> tuple[Inquiry, bool]:
        check_id(inquiry)
        return unless_raced(lambda: self._add_inquiry(inquiry))

    def _add_inquiry(self, inquiry: Inquiry) -> tuple[Inquiry, bool]:
        identity = rules.inquiry_identity(inquiry)
        with self.writing() as connection:
            _check_there(connection, inquiry)
            row = locked(connection, inquiries.c.identity == identity, inquiries)
            if row is None:
                new = {**vars(inquiry), "identity": identity, "published_at": inquiry.created_at}
                connection.execute(insert(inquiries).values(new))
                return inquiry, True
            same = from_row(Inquiry, row)
            if same.state != "rejected":
                return same, False
            again = {
                **rules.asked_again(same, inquiry.max_attempts),
                "published_at": inquiry.created_at,
            }
            changed = update(inquiries).where(inquiries.c.id == same.id).values(again).returning(inquiries)
            return from_row(Inquiry, connection.execute(changed).one()), True

    def inquiry(self, owner: str, id: str) -> Inquiry | None:
        mine = (inquiries.c.id == id) & (inquiries.c.owner == owner)
        with self.reading() as connection:
            row = connection.execute(select(inquiries).where(mine)).one_or_none()
        return None if row is None else from_row(Inquiry, row)


def _check_there(connection: Connection, inquiry: Inquiry) -> None:
    """Locks what it is about until the transaction ends, so that none of it can be deleted behind its back."""
    if inquiry.job is not None:
        its = (jobs.c.id == inquiry.job) & (jobs.c.owner == inquiry.owner)
        if connection.execute(select(jobs.c.id).where(its).with_for_update(read=True)).one_or_none() is None:
            raise Gone(inquiry.job)
        return
    both = {(str(inquiry.model), "model"), (str(inquiry.dataset), "dataset")}
    mine = (uploads.c.owner == inquiry.owner) & uploads.c.id.in_([inquiry.model, inquiry.dataset])
    query = select(uploads.c.id, uploads.c.kind).where(mine).order_by(uploads.c.id).with_for_update(read=True)
    there = {(row.id, row.kind) for row in connection.execute(query)}
    for id, _ in sorted(both - there):
        raise Gone(id)
