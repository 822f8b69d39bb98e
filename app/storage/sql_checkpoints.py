"""The port `Checkpoints` in SQL."""

from sqlalchemy import Select, delete, insert, or_, select

from app.storage import rules
from app.storage.records import Checkpoint, Trial
from app.storage.sql_base import SqlStore
from app.storage.sql_rows import locked_item
from app.storage.tables import checkpoints, jobs, trials


class SqlCheckpoints(SqlStore):
    def keep_checkpoint(self, attempt: int, checkpoint: Checkpoint) -> bool:
        values = vars(checkpoint)
        ended = ["finished", "unfinished"] if checkpoint.slot == "finished" else [checkpoint.slot]
        with self.writing() as connection:
            item = locked_item(connection, checkpoint.item, attempt)
            if item is None:
                return False
            places = (checkpoints.c.item == checkpoint.item) & checkpoints.c.slot.in_(ended)
            connection.execute(delete(checkpoints).where(places))
            job = item.job if isinstance(item, Trial) else item.id
            connection.execute(insert(checkpoints).values(job=job, **values))
            return True

    def checkpoints(self, item: str) -> list[Checkpoint]:
        fields = [column for column in checkpoints.c if column is not checkpoints.c.job]
        query = select(*fields).where(checkpoints.c.item == item).order_by(checkpoints.c.slot)
        with self.reading() as connection:
            return [Checkpoint(**row._mapping) for row in connection.execute(query)]


def live_checkpoints() -> Select[tuple[str, str, str]]:
    """The blobs of those whose job or trial is unfinished, each with what holds it: that, and its job."""
    unfinished = or_(
        *(checkpoints.c.item.in_(select(t.c.id).where(t.c.state.not_in(rules.OVER))) for t in (jobs, trials))
    )
    return select(checkpoints.c.sha256, checkpoints.c.item, checkpoints.c.job).where(unfinished)
