"""A database engine with the settings that the lease needs, for SQLite and PostgreSQL.

PostgreSQL: both ends soon notice that the other is gone (`app/keepalive.py`).

SQLite: WAL, so that readers never wait for the writer. A transaction that will write says so when it begins
(BEGIN IMMEDIATE): one that starts by reading and then writes could fail with "database is locked" although it
was willing to wait. `synchronous=FULL`, because a 202 is a promise: with NORMAL a power cut takes the last
commits with it (a crash of the process never does). What was committed moves from the log into the file by whoever
commits when the log has `LOG_PAGES`, four times as many as SQLite's own: fewer requests wait for it.

PostgreSQL: a read is a statement of its own, in no transaction that would have to be begun and ended. What the server
has closed meanwhile is seen without asking it. Which file: `sqlite_file.py`.
"""

from select import POLLIN, poll
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DisconnectionError

from app import keepalive
from app.storage.sqlite_file import keep_to_file

BUSY_SECONDS: Final = 10
"""For how long a transaction waits for the one that writes, or for a connection."""
PING_SECONDS: Final = 1.0
CONNECT_SECONDS: Final = 5
LOG_PAGES: Final = 4000
MODE: Final = "winnow_mode"
Mode = Literal["read", "write", "ping", "migrate"]


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///…` or `postgresql+psycopg://…`. Connects lazily."""
    if make_url(url).get_backend_name() != "sqlite":
        engine = _engine(url, connect_timeout=CONNECT_SECONDS, **keepalive.OF_LIBPQ)
        event.listen(engine, "connect", _set_up_postgresql)
        event.listen(engine, "checkout", _refuse_closed)
        return engine
    engine = _engine(url, timeout=BUSY_SECONDS)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    keep_to_file(engine)
    return engine


def _engine(url: str, **options: Any) -> Engine:
    return create_engine(url, pool_timeout=BUSY_SECONDS, pool_use_lifo=True, connect_args=options)


def in_mode(engine: Engine, mode: Mode) -> Engine:
    """The same engine and pool, for transactions of one kind."""
    options: dict[str, str] = {MODE: mode}
    if mode == "read" and engine.dialect.name == "postgresql":
        options["isolation_level"] = "AUTOCOMMIT"
    return engine.execution_options(**options)


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """An idle connection has nothing to read but its end. The pool then connects anew."""
    ready = poll()
    ready.register(connection.fileno(), POLLIN)
    if ready.poll(0):
        raise DisconnectionError("the server has closed this connection")


def _set_up_postgresql(connection: Any, _record: Any) -> None:
    """What a host held that is gone is free again as soon as the server sees that it is gone."""
    for name, value in keepalive.OF_POSTGRESQL.items():
        connection.execute(f"SET {name} = {value}")
    connection.commit()


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin_sqlite does
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"wal_autocheckpoint={LOG_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    mode: Mode = connection.get_execution_options().get(MODE, "read")
    if mode == "read":  # it takes no lock, so it cannot fail
        driver: Any = connection.connection.dbapi_connection
        driver.execute("BEGIN")
        return
    if mode == "migrate":  # SQLite alters a table by replacing it, which must not delete what refers to it
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    if mode == "ping":
        connection.exec_driver_sql(f"PRAGMA busy_timeout={PING_SECONDS * 1000:.0f}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
