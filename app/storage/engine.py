"""A database engine with the settings that the lease needs, for SQLite and PostgreSQL.

SQLite: WAL, so that readers never wait for the writer. A transaction that will write says so when it begins
(BEGIN IMMEDIATE): one that starts by reading and then writes could fail with "database is locked" although it
was willing to wait. `synchronous=FULL`, because a 202 is a promise: with NORMAL a power cut takes the last
commits with it (a crash of the process never does).
"""

from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine, create_engine, event, make_url

BUSY_SECONDS: Final = 30
MODE: Final = "winnow_mode"
Mode = Literal["read", "write", "migrate"]


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///…` or `postgresql+psycopg://…`. Connects lazily."""
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def in_mode(engine: Engine, mode: Mode) -> Engine:
    """The same engine and pool, for transactions of one kind."""
    return engine.execution_options(**{MODE: mode})


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin_sqlite does
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    mode: Mode = connection.get_execution_options().get(MODE, "read")
    if mode == "migrate":  # SQLite alters a table by replacing it, which must not delete what refers to it
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql("BEGIN" if mode == "read" else "BEGIN IMMEDIATE")
