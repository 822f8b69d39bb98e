"""All rows of one moment as files, one for each table: zstd over lines of JSON, the names of the columns first.

Neither SQLite nor PostgreSQL stands in them: what one has told, the other takes.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import zstandard
from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    Table,
    TypeDecorator,
    func,
    insert,
    inspect,
    literal,
    select,
    type_coerce,
)

from app.storage.engine import in_mode
from app.storage.migrate import config, newest_revision, revision_of, wait_for_turn
from app.storage.sql import named_blobs
from app.storage.sqlite_file import make_file
from app.storage.tables import jobs, metadata, uploads

LEFT_OUT: Final = frozenset({"workers", "transfers", "blobs", "checkpoints"})
"""Tables of what is true of one moment or one store only: what runs, what is on its way in, where a bucket has what,
what unfinished work goes on after."""
AT_ONCE: Final = 1000


class CannotCopy(Exception):
    """Rows cannot be read or taken here. The message is a sentence for the operator."""


@dataclass(frozen=True)
class Rows:
    """`counts`: table → how many rows; `blobs`: the SHA-256 of all that they name."""

    revision: str
    counts: Mapping[str, int]
    blobs: frozenset[str]


def write_rows(engine: Engine, folder: Path) -> Rows:
    """All rows of this moment into a new folder, while others go on writing. Raises `CannotCopy`, and what the database
    raises."""
    folder.mkdir(parents=True)
    with _one_moment(engine).begin() as connection:
        revision = revision_of(connection)
        if revision is None or revision != newest_revision():
            raise CannotCopy(
                f"The database is at schema {revision or 'none'}, and this Winnow's is {newest_revision()}. Ask the "
                "version that serves on it."
            )
        counts = {
            table.name: _write(connection, table, _file(folder, table.name))
            for table in metadata.sorted_tables
            if table.name not in LEFT_OUT
        }
        return Rows(revision, counts, frozenset(connection.scalars(named_blobs())))


def read_rows(engine: Engine, folder: Path, revision: str, counts: Mapping[str, int]) -> None:
    """Make these rows all that there is, at the newest schema, or leave the database as it was. Raises `CannotCopy`
    (models or jobs are there, a file is not what was written), and what the database raises."""
    if revision > newest_revision():
        raise CannotCopy(
            f"The backup is of a newer Winnow (schema {revision}, here {newest_revision()}). Install it first."
        )
    make_file(engine)
    with in_mode(engine, "migrate").connect() as connection:
        with connection.begin():
            wait_for_turn(connection)
            if _holds_work(connection):
                raise CannotCopy("There are models, datasets or jobs in the database. Name an empty one.")
            _drop(connection)
            _upgrade(connection, revision)
            there = MetaData()
            there.reflect(connection, only=list(counts))
            for table in there.sorted_tables:
                if table.name in counts:
                    _read(connection, table, _file(folder, table.name), counts[table.name])
            _upgrade(connection, "head")
        connection.invalidate()  # its foreign keys are switched off


def drop_rows(engine: Engine) -> None:
    """Leave no table of ours."""
    with in_mode(engine, "migrate").connect() as connection:
        with connection.begin():
            wait_for_turn(connection)
            _drop(connection)
        connection.invalidate()


def _one_moment(engine: Engine) -> Engine:
    """On SQLite a transaction that reads sees one moment anyway."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return in_mode(engine, "read")


def _file(folder: Path, table: str) -> Path:
    return folder / f"{table}.jsonl.zst"


def _write(connection: Connection, table: Table, file: Path) -> int:
    count = 0
    columns = [_as_stored(column) for column in table.columns]
    rows = connection.execute(select(*columns).execution_options(yield_per=AT_ONCE))
    with zstandard.open(
        file, "wt", cctx=zstandard.ZstdCompressor(write_checksum=True), encoding="utf-8"
    ) as lines:
        lines.write(json.dumps(table.columns.keys()) + "\n")
        for row in rows:
            lines.write(json.dumps(list(row)) + "\n")
            count += 1
    return count


def _as_stored(column: Column[Any]) -> ColumnElement[Any]:
    """As a database has it that is read without our types, as `_read` writes it."""
    kind = column.type
    return (
        type_coerce(column, kind.impl_instance).label(column.name)
        if isinstance(kind, TypeDecorator)
        else column
    )


def _read(connection: Connection, table: Table, file: Path, count: int) -> None:
    """In the place of what a revision has put there."""
    for column in table.columns:
        if isinstance(column.type, JSON):
            column.type = JSON(none_as_null=True)
    connection.execute(table.delete())
    rows = _lines(file)
    taken = 0
    while batch := list(islice(rows, AT_ONCE)):
        connection.execute(insert(table), batch)
        taken += len(batch)
    if taken != count:
        raise CannotCopy(f"{file} holds {taken} rows, of {count} that were written.")
    _count_on(connection, table)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with zstandard.open(file, "rt", encoding="utf-8") as lines:
            names = json.loads(lines.readline())
            for line in lines:
                yield dict(zip(names, json.loads(line), strict=True))
    except (OSError, ValueError, zstandard.ZstdError) as error:
        raise CannotCopy(f"{file} cannot be read as it was written: {error}.") from error


def _count_on(connection: Connection, table: Table) -> None:
    """PostgreSQL numbers new rows by a sequence that has not seen these."""
    column = table.autoincrement_column
    if column is None or connection.dialect.name != "postgresql":
        return
    last = connection.execute(select(func.max(column))).scalar()
    sequence = func.pg_get_serial_sequence(table.name, column.name)
    connection.execute(select(func.setval(sequence, last or 1, last is not None)))


def _holds_work(connection: Connection) -> bool:
    there = inspect(connection).get_table_names()
    return any(
        connection.execute(select(literal(1)).select_from(table).limit(1)).scalar() is not None
        for table in (uploads, jobs)
        if table.name in there
    )


def _drop(connection: Connection) -> None:
    ours = {*metadata.tables, "alembic_version"}
    there = MetaData()
    there.reflect(connection, only=lambda name, _: name in ours)
    there.drop_all(connection)


def _upgrade(connection: Connection, revision: str) -> None:
    from alembic import command

    command.upgrade(config(connection), revision)
