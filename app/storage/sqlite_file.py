"""An engine keeps to one SQLite file: the one that is there under its name, open for writing when it may be written.

- A database whose file was removed or replaced would go on working, into a file that nobody sees again. So no
  transaction begins on a connection whose file is no longer the one of that name, and connecting makes no file: only
  `make_file` does.
- A connection that was opened while its file could not be written refuses to write for ever. It is replaced when the
  file can be written, or else by its first refusal.
- The `-shm` file beside the log is opened once for all connections of a process, until the last of them is closed; for
  reading alone when it could not be written in that moment. Then no connection could write until the process ends. So
  one connection of the engine, which nobody uses, is opened with the first and stays open.
"""

import os
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Engine, ExceptionContext, event
from sqlalchemy.exc import DisconnectionError

Identity = tuple[int, int, bool]


def make_file(engine: Engine) -> None:
    """An empty database where there is none yet; where none can be made, connecting will say so."""
    file = _file(engine.url)
    if file is not None:
        with suppress(OSError):
            file.touch()


def keep_to_file(engine: Engine) -> None:
    """Nothing for a database in memory, or one that is named in SQLite's own way."""
    file = _file(engine.url)
    if file is None:
        return
    event.listen(engine, "handle_error", _drop_read_only)
    held = _HeldOpen(file)
    event.listen(engine, "engine_disposed", held.close)

    @event.listens_for(engine, "do_connect")
    def _open_only_what_is_there(
        _dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]
    ) -> None:
        arguments[0], options["uri"] = _uri(file), True

    @event.listens_for(engine, "connect")
    def _remember(_connection: Any, record: Any) -> None:
        record.info["file"] = _identity(file)
        held.hold(record.info["file"])

    @event.listens_for(engine, "checkout")
    def _refuse_another(_connection: Any, record: Any, _proxy: Any) -> None:
        """The pool then connects anew, which fails where there is no file."""
        if record.info["file"] is None or record.info["file"] != _identity(file):
            raise DisconnectionError(f"{file.name} is no longer the file that was opened, or as it was then")


class _HeldOpen:
    """The connection that nobody uses."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: Identity | None = None

    def hold(self, identity: Identity | None) -> None:
        """Open the file of this identity, unless it is open, or may not be written."""
        with self._lock:
            if identity is not None and identity[2] and identity != self._identity:
                self._open(identity)

    def _open(self, identity: Identity) -> None:
        self.close()
        with suppress(sqlite3.Error):  # whoever needs the file learns it from their own connection
            self._connection = sqlite3.connect(_uri(self._file), uri=True, check_same_thread=False)
            self._connection.execute("SELECT count(*) FROM sqlite_master").close()
            self._identity = identity

    def close(self, _engine: Engine | None = None) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._identity = None, None


def _uri(file: Path) -> str:
    return f"file:{quote(str(file.absolute()))}?mode=rw"


def _drop_read_only(context: ExceptionContext) -> None:
    if "readonly database" in str(context.original_exception):
        context.is_disconnect = True


def _file(url: URL) -> Path | None:
    name = url.database
    if url.get_backend_name() != "sqlite" or name in (None, "", ":memory:") or str(name).startswith("file:"):
        return None
    return Path(str(name))


def _identity(file: Path) -> Identity | None:
    """Which file it is, and whether it may be written."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, os.access(file, os.W_OK)
