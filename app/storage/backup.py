"""A copy of all that a service keeps, made while it runs, and put back into an empty one.

    folder/backup.json          what there is; written last, in one step
    folder/records-…/           the rows of one moment
    folder/blobs/ab/ab12…       as in the service's own folder

Bytes are stored before the record that names them, and swept after it is gone. So what the rows of a moment name was
there at that moment, and may be gone when it is to be copied: then its record is, too, and the rows are taken anew.
What was copied stays copied, so the next round is short. A blob that is named twice and is not there is lost.
"""

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Engine

from app.storage.local_blobs import LocalBlobs
from app.storage.plain_file import CHUNK
from app.storage.ports import Blobs
from app.storage.row_files import CannotCopy, Rows, drop_rows, read_rows, write_rows
from app.storage.sql import SqlRecords

log = logging.getLogger(__name__)

MANIFEST: Final = "backup.json"
MAX_NAMED: Final = 5


class Backup(BaseModel):
    """What `backup.json` says. `records` is a folder beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1]
    version: str
    revision: str
    made_at: datetime
    records: str = Field(pattern="^records-[0-9a-z]+$")
    rows: dict[str, int]
    blobs: int
    size_bytes: int


class Incomplete(Exception):
    """Everything was copied but what was lost or damaged before. The message is a sentence for the operator."""

    def __init__(self, lost: Iterable[str]) -> None:
        names = sorted(lost)
        shown = ", ".join(names[:MAX_NAMED]) + (", …" if len(names) > MAX_NAMED else "")
        super().__init__(
            f"{len(names)} of the blobs that records name are not there or damaged, all else was copied: {shown}"
        )


def back_up(engine: Engine, blobs: Blobs, folder: Path, version: str) -> Backup:
    """Bring the backup in this folder, or a new one, to this moment. An earlier one is whole until then.

    Raises `CannotCopy`, `Incomplete` (the backup is made nevertheless), and what database and disk raise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        copies = LocalBlobs(folder / "blobs")
        records = folder / f"records-{uuid4().hex}"
        rows, lost = _one_moment(engine, blobs, copies, records)
        made = Backup(
            format=1,
            version=version,
            revision=rows.revision,
            made_at=datetime.now(UTC),
            records=records.name,
            rows=dict(rows.counts),
            blobs=len(rows.blobs - lost),
            size_bytes=sum(copies.size(name) or 0 for name in rows.blobs),
        )
        os.sync()  # the rows, before anything says that they are there
        _put(folder / MANIFEST, made.model_dump_json(indent=1))
        for left in set(folder.glob("records-*")) - {records}:
            shutil.rmtree(left)
        for name in copies.sweep({*rows.blobs}, time.time() + 1):
            log.debug("%s is named by no record any more", name)
    if lost:
        raise Incomplete(lost)
    return made


def restore(engine: Engine, blobs: Blobs, folder: Path) -> Backup:
    """Put a backup into a database and a store that hold nothing yet, while no service runs on them.

    Raises `CannotCopy`, `Incomplete` (all else is there), and what database and disk raise: then nothing is there but
    bytes that no record names.
    """
    made = read_backup(folder)
    copies = LocalBlobs(folder / "blobs")
    read_rows(engine, folder / made.records, made.revision, made.rows)
    try:
        lost = _copied(copies, blobs, SqlRecords(engine).live_blobs())
    except BaseException:
        drop_rows(engine)
        raise
    if lost:
        raise Incomplete(lost)
    return made


def read_backup(folder: Path) -> Backup:
    """Raises `CannotCopy` where the folder holds none that this version can read."""
    try:
        return Backup.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise CannotCopy(f"{folder} holds no backup: it has no {MANIFEST}.") from None
    except ValidationError as error:
        raise CannotCopy(
            f"{folder / MANIFEST} is none that this version has written: {error.errors()[0]['msg']}."
        ) from error


def _one_moment(
    engine: Engine, blobs: Blobs, copies: LocalBlobs, records: Path
) -> tuple[Rows, frozenset[str]]:
    """Rows, with all the blobs that they name but those that are lost."""
    before: frozenset[str] = frozenset()
    while True:
        rows = write_rows(engine, records)
        missing = _copied(blobs, copies, rows.blobs)
        if missing <= before:
            return rows, missing
        log.info("%d blobs were removed while they were copied: looking again", len(missing))
        before = missing
        shutil.rmtree(records)


def _copied(source: Blobs, target: Blobs, names: Iterable[str]) -> frozenset[str]:
    """Copy what the target lacks; answers what could not be copied."""
    return frozenset(name for name in sorted(names) if not _copy(source, target, name))


def _copy(source: Blobs, target: Blobs, name: str) -> bool:
    """Whether the target has it now. What is not what its name says is not copied."""
    if target.size(name) is not None:
        return True
    content = source.open(name)
    if content is None:
        return False
    writer = target.writer()
    try:
        with content:
            while chunk := content.read(CHUNK):
                writer.write(chunk)
        if writer.digest() != name:
            log.error("the blob %s is damaged: its bytes have the hash %s", name, writer.digest())
            return False
        writer.commit()
        return True
    except FileNotFoundError:  # of a bucket, whose objects go while they are read
        return False
    finally:
        writer.abort()


def _put(file: Path, content: str) -> None:
    """All of it or nothing, on the disk when this returns."""
    part = file.with_suffix(".part")
    with part.open("w") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise CannotCopy(
            f"Another backup goes to {folder} at this moment. Name another folder, or wait."
        ) from None
    finally:
        os.close(handle)
