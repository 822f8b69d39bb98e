"""Counting reads indexes and no record, however many there are."""

from pathlib import Path

from sqlalchemy import event

from app.storage.engine import open_engine
from app.storage.migrate import migrate
from app.storage.sql import SqlRecords

COUNTED = ("uploads", "jobs", "trials")


def test_what_is_grouped_and_added_up_stands_in_an_index(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'winnow.db'}")
    migrate(engine)
    asked: list[tuple[str, object]] = []
    event.listen(
        engine, "before_cursor_execute", lambda _c, _cursor, sql, values, *_: asked.append((sql, values))
    )
    SqlRecords(engine).tally()
    [(grouped, values)] = [(sql, values) for sql, values in asked if "UNION ALL" in sql]
    with engine.connect() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {grouped}", values)]
    for table in COUNTED:
        [scan] = [step for step in plan if step.startswith(f"SCAN {table}")]
        assert "COVERING INDEX" in scan
    engine.dispose()
