"""`backup.json`, rows and blobs: what is copied while others write, comes back as it was, and what is not is told."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine, MetaData
from sqlalchemy.exc import SQLAlchemyError

from app.storage import backup as backup_module
from app.storage import row_files
from app.storage.backup import Backup, Incomplete, back_up, read_backup, restore
from app.storage.engine import in_mode, open_engine
from app.storage.local_blobs import LocalBlobs
from app.storage.migrate import config, migrate, newest_revision, revision_of
from app.storage.ports import Blobs
from app.storage.reaper import sweep_once
from app.storage.records import Event as Entry
from app.storage.records import Job, Upload
from app.storage.row_files import LEFT_OUT, CannotCopy, drop_rows
from app.storage.sql import SqlRecords
from app.storage.sqlite_file import make_file
from app.storage.tables import metadata
from tests.support.migrated import empty_database
from tests.support.records import a_job, a_worker, an_inquiry, an_upload


@pytest.fixture
def stored(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.fixture
def source() -> Engine:
    """Of what a backup is made, where it makes no difference."""
    return empty_database("source")


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'restored.db'}")
    yield made
    made.dispose()


def put(blobs: Blobs, content: bytes) -> str:
    writer = blobs.writer()
    writer.write(content)
    return writer.commit()[0]


def upload(records: SqlRecords, blobs: Blobs, content: bytes, **fields: Any) -> Upload:
    """As the API does it: the bytes first."""
    return records.add_upload(an_upload(put(blobs, content), size_bytes=len(content), **fields))[0]


def finished(records: SqlRecords, blobs: Blobs, model: Upload, artifact: bytes) -> Job:
    job, _ = records.add_job(a_job(model, tags={"of": "ours"}), None)
    assert records.claim(job.id, 2000.0, 30.0) is not None
    entry = Entry(
        job=job.id,
        attempt=1,
        time=2001.0,
        type="log",
        message="as it was: ü, \u2028, \\",
        values={"loss": 0.1},
    )
    assert records.report(job.id, 1, step=None, progress=0.5, seconds_left=None, events=[entry])
    made = {"artifact_sha256": put(blobs, artifact), "artifact_bytes": len(artifact)}
    assert records.finish(job.id, 1, 2002.0, {"state": "succeeded", "outcome": "unchecked", **made})
    found = records.job("local", job.id)
    assert found is not None
    return found


def rows(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    with engine.connect() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(table.select())))  # type: ignore[misc]
            for table in metadata.sorted_tables
            if table.name not in LEFT_OUT
        }


def test_everything_comes_back_as_it_was(
    engine: Engine, stored: LocalBlobs, folder: Path, empty: Engine, tmp_path: Path
) -> None:
    records = SqlRecords(engine)
    model = upload(records, stored, b"model")
    dataset = upload(records, stored, b"dataset", kind="dataset")
    records.add_inquiry(an_inquiry(model, dataset))
    finished(records, stored, model, b"artifact")
    records.worker_seen(a_worker(), 0.0)
    made = back_up(engine, stored, folder, "1.0")
    assert (made.blobs, made.size_bytes) == (3, len(b"model" + b"dataset" + b"artifact"))
    back = LocalBlobs(tmp_path / "back")
    assert restore(empty, back, folder) == made == read_backup(folder)
    assert rows(empty) == rows(engine)
    assert all(back.size(name) for name in records.live_blobs())
    assert SqlRecords(empty).workers(0.0) == []
    assert SqlRecords(empty).add_upload(an_upload("c" * 64))[1]


def test_a_restored_database_goes_on_counting_where_the_other_was(
    engine: Engine, stored: LocalBlobs, folder: Path, empty: Engine
) -> None:
    """Into the kind of database that the backup is of."""
    records = SqlRecords(engine)
    model = upload(records, stored, b"model")
    job = finished(records, stored, model, b"artifact")
    before = [entry.id for entry in records.events(job.id, 0, 100)]
    back_up(engine, stored, folder, "1.0")
    drop_rows(engine)
    restore(engine, stored, folder)
    again, _ = SqlRecords(engine).add_job(a_job(model), None)
    assert min(entry.id for entry in SqlRecords(engine).events(again.id, 0, 100)) > max(before)


@pytest.mark.integration
def test_a_service_moves_from_sqlite_to_postgresql(
    postgresql_url: str, stored: LocalBlobs, folder: Path, empty: Engine
) -> None:
    migrate(empty)
    records = SqlRecords(empty)
    job = finished(records, stored, upload(records, stored, b"model"), b"artifact")
    back_up(empty, stored, folder, "1.0")
    server = open_engine(postgresql_url)
    try:
        drop_rows(server)
        restore(server, stored, folder)
        assert rows(server) == rows(empty)
        assert SqlRecords(server).delete_job("local", job.id)
    finally:
        server.dispose()


def test_a_second_backup_copies_what_is_new_and_forgets_what_is_gone(
    engine: Engine, stored: LocalBlobs, folder: Path
) -> None:
    records = SqlRecords(engine)
    first = upload(records, stored, b"first")
    back_up(engine, stored, folder, "1.0")
    kept = LocalBlobs(folder / "blobs")
    inode = kept.source(first.sha256).stat().st_ino
    second = upload(records, stored, b"second")
    back_up(engine, stored, folder, "1.0")
    assert kept.source(first.sha256).stat().st_ino == inode
    records.delete_upload("local", "model", first.id)
    assert back_up(engine, stored, folder, "1.0").blobs == 1
    assert (kept.size(first.sha256), kept.size(second.sha256)) == (None, 6)
    assert len([*folder.glob("records-*")]) == 1


def test_what_is_removed_while_it_is_copied_is_in_no_backup_and_all_that_is_named_is(
    engine: Engine, stored: LocalBlobs, folder: Path
) -> None:
    """Rows are taken before blobs; between the two a model is deleted, its bytes swept, and another taken."""
    records = SqlRecords(engine)
    doomed, kept = upload(records, stored, b"doomed"), upload(records, stored, b"kept")
    later: list[Upload] = []

    class Sweeping(LocalBlobs):
        def open(self, sha256: str) -> Any:
            if not later:
                records.delete_upload("local", "model", doomed.id)
                later.append(upload(records, stored, b"later"))
                assert sweep_once(records, stored, now=4e9, grace_seconds=1.0) == [doomed.sha256]
            return super().open(sha256)

    back_up(engine, Sweeping(stored.incoming.parent), folder, "1.0")
    there = LocalBlobs(folder / "blobs")
    assert [there.size(one.sha256) for one in (doomed, kept, *later)] == [None, 4, 5]


def test_every_artifact_is_in_a_backup_that_is_made_while_others_write(
    engine: Engine, stored: LocalBlobs, folder: Path, empty: Engine, tmp_path: Path
) -> None:
    records, enough, begun = SqlRecords(engine), Event(), Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for number in count():
                model = upload(records, stored, b"model %d" % number)
                job = finished(records, stored, model, b"artifact %d" % number)
                if number % 3 == 0:
                    records.delete_job("local", job.id)
                    sweep_once(records, stored, now=4e9, grace_seconds=1.0) if number % 9 == 0 else None
                begun.set()
                if enough.is_set():
                    return
        except BaseException as error:
            failed.append(error)
            begun.set()

    worker = Thread(target=work)
    worker.start()
    assert begun.wait(30)
    made = [back_up(engine, stored, folder, "1.0") for _ in range(3)][-1]
    enough.set()
    worker.join(30)
    assert failed == []
    back = LocalBlobs(tmp_path / "back")
    assert restore(empty, back, folder) == made
    named = SqlRecords(empty).live_blobs()
    assert len(named) == made.blobs > 1
    for name in named:
        content = back.open(name)
        assert content is not None
        with content:
            assert put(LocalBlobs(tmp_path / "hashed"), content.read()) == name


def lose(blobs: LocalBlobs, name: str) -> None:
    blobs.source(name).unlink()


def damage(blobs: LocalBlobs, name: str) -> None:
    path = blobs.source(name)
    path.chmod(0o640)
    path.write_bytes(b"?????")


@pytest.mark.parametrize("harm", [lose, damage])
def test_what_is_lost_or_damaged_is_named_and_all_else_is_copied(
    source: Engine, stored: LocalBlobs, folder: Path, harm: Callable[[LocalBlobs, str], None]
) -> None:
    records = SqlRecords(source)
    good, bad = upload(records, stored, b"good"), upload(records, stored, b"bad")
    harm(stored, bad.sha256)
    with pytest.raises(Incomplete, match=f"1 of the blobs .*{bad.sha256}"):
        back_up(source, stored, folder, "1.0")
    assert LocalBlobs(folder / "blobs").size(good.sha256) == 4
    assert read_backup(folder).blobs == 1


def test_what_the_disk_did_to_a_backup_is_found_when_it_is_restored(
    source: Engine, stored: LocalBlobs, folder: Path, empty: Engine, tmp_path: Path
) -> None:
    good, bad = (upload(SqlRecords(source), stored, content) for content in (b"good", b"bad"))
    back_up(source, stored, folder, "1.0")
    damage(LocalBlobs(folder / "blobs"), bad.sha256)
    back = LocalBlobs(tmp_path / "back")
    with pytest.raises(Incomplete, match=bad.sha256):
        restore(empty, back, folder)
    assert (back.size(good.sha256), back.size(bad.sha256)) == (4, None)


@pytest.mark.parametrize("harm", ["cut", "changed", "gone", "fewer"])
def test_rows_that_are_not_as_they_were_written_are_refused_and_nothing_is_left(
    source: Engine, stored: LocalBlobs, folder: Path, empty: Engine, harm: str
) -> None:
    upload(SqlRecords(source), stored, b"model")
    made = back_up(source, stored, folder, "1.0")
    file = folder / made.records / "uploads.jsonl.zst"
    content = file.read_bytes()
    match harm:
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case "changed":
            file.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
        case "gone":
            file.unlink()
        case "fewer":
            told = made.model_copy(update={"rows": made.rows | {"uploads": 2}})
            (folder / "backup.json").write_text(told.model_dump_json())
    with pytest.raises(CannotCopy, match=r"uploads\.jsonl\.zst"):
        restore(empty, stored, folder)
    migrate(empty)
    assert SqlRecords(empty).live_blobs() == set()


def test_a_database_that_holds_something_is_left_alone(
    source: Engine, stored: LocalBlobs, folder: Path, empty: Engine
) -> None:
    upload(SqlRecords(source), stored, b"model")
    back_up(source, stored, folder, "1.0")
    restore(empty, stored, folder)
    there = rows(empty)
    with pytest.raises(CannotCopy, match="Name an empty one"):
        restore(empty, stored, folder)
    assert rows(empty) == there


def test_a_disk_that_fails_leaves_an_empty_database_and_the_next_try_succeeds(
    source: Engine, stored: LocalBlobs, folder: Path, empty: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(SqlRecords(source), stored, b"model")
    back_up(source, stored, folder, "1.0")

    def full(*_: Any) -> frozenset[str]:
        raise OSError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(backup_module, "_copied", full)
        with pytest.raises(OSError, match="no room"):
            restore(empty, stored, folder)
    restore(empty, stored, folder)
    assert rows(empty) == rows(source)


def test_a_backup_of_an_older_schema_is_brought_to_the_newest(
    tmp_path: Path, stored: LocalBlobs, folder: Path, empty: Engine
) -> None:
    older = open_engine(f"sqlite:///{tmp_path / 'older.db'}")
    make_file(older)
    with in_mode(older, "migrate").connect() as connection, connection.begin():
        command.upgrade(config(connection), "0007")
    tables = MetaData()
    tables.reflect(older)
    model = an_upload(put(LocalBlobs(folder / "blobs"), b"model"))
    with in_mode(older, "write").begin() as connection:
        uploads = tables.tables["uploads"]
        told = {name: value for name, value in vars(model).items() if name in uploads.columns}
        connection.execute(uploads.insert().values(**told, published_at=0.0, identity=model.sha256))
        records = folder / "records-old"
        records.mkdir()
        counts = {
            table.name: row_files._write(connection, table, records / f"{table.name}.jsonl.zst")
            for table in tables.sorted_tables
            if table.name not in {*LEFT_OUT, "alembic_version"}
        }
    made = Backup(
        format=1,
        version="0.1.0",
        revision="0007",
        made_at=datetime.now(UTC),
        records=records.name,
        rows=counts,
        blobs=1,
        size_bytes=5,
    )
    (folder / "backup.json").write_text(made.model_dump_json())
    restore(empty, stored, folder)
    back = SqlRecords(empty).upload("local", "model", model.id)
    assert back is not None
    assert (back.name, back.sha256, stored.size(back.sha256)) == (model.name, model.sha256, 5)
    with empty.connect() as connection:
        assert revision_of(connection) == newest_revision()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "holds no backup"),
        ("{}", "is none that this version has written"),
        ("x", "is none that this version has written"),
    ],
)
def test_a_folder_without_a_backup_is_a_sentence(
    folder: Path, stored: LocalBlobs, empty: Engine, content: str | None, says: str
) -> None:
    folder.mkdir()
    if content is not None:
        (folder / "backup.json").write_text(content)
    with pytest.raises(CannotCopy, match=says):
        restore(empty, stored, folder)


def test_a_backup_of_a_newer_version_is_a_sentence(
    source: Engine, stored: LocalBlobs, folder: Path, empty: Engine
) -> None:
    made = back_up(source, stored, folder, "1.0")
    told = made.model_copy(update={"revision": "9999"})
    (folder / "backup.json").write_text(told.model_dump_json())
    with pytest.raises(CannotCopy, match="of a newer Winnow"):
        restore(empty, stored, folder)


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, stored: LocalBlobs, folder: Path) -> None:
    nowhere = open_engine(f"sqlite:///{tmp_path / 'nowhere.db'}")
    with pytest.raises(SQLAlchemyError):
        back_up(nowhere, stored, folder, "1.0")
    assert not (tmp_path / "nowhere.db").exists()
    assert not (folder / "backup.json").exists()


def test_two_backups_do_not_share_a_folder(source: Engine, stored: LocalBlobs, folder: Path) -> None:
    folder.mkdir()
    with backup_module._alone(folder), pytest.raises(CannotCopy, match="Another backup"):
        back_up(source, stored, folder, "1.0")
