import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.storage.memory import MemoryRecords
from app.storage.memory_blobs import MemoryBlobs
from app.storage.records import Checkpoint, Job
from tests.support.records import a_job, an_upload
from worker.blob_cache import BlobCache
from worker.child.protocol import Kept
from worker.handover import BlobHandover

FILES = {"model.onnx": b"the graph", "reports.json": b"[]"}


class Hosts:
    """A job that is at work, and folders for its checkpoints on several hosts."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.records, self.blobs = folder, MemoryRecords(), MemoryBlobs()
        model, _ = self.records.add_upload(an_upload(state="ready"))
        job, _ = self.records.add_job(a_job(model), None)
        self.job = self.claim(job.id)

    def claim(self, id: str) -> Job:
        claimed = self.records.claim(id, time.time(), 60)
        assert isinstance(claimed, Job)
        return claimed

    def folder(self, host: str) -> Path:
        (self._folder / host).mkdir(exist_ok=True)
        return self._folder / host

    def handover(self, host: str) -> BlobHandover:
        return BlobHandover(self.records, self.blobs, self.job, self.folder(host), self.curves(host))

    def curves(self, host: str) -> Path:
        (self._folder / f"curves-{host}").mkdir(exist_ok=True)
        return self._folder / f"curves-{host}"

    def keep(self, host: str, *messages: Kept) -> None:
        handover = self.handover(host)
        for message in messages:
            handover.keep(message)
        handover.close()

    def restore(self, host: str) -> None:
        handover = self.handover(host)
        with BlobCache(self.blobs, self._folder / "cache", 1 << 30, 1 << 30).lent() as files:
            handover.restore(files)
        handover.close()

    def put(self, host: str, key: str, files: dict[str, bytes]) -> Path:
        place = self.folder(host) / key
        place.mkdir(exist_ok=True)
        for name, content in {**files, "used": b"\n"}.items():
            (place / name).write_bytes(content)
        return place

    def found(self, host: str, key: str) -> dict[str, bytes]:
        place = self.folder(host) / key
        return {file.name: file.read_bytes() for file in place.glob("*") if file.name != "used"}

    @property
    def stored(self) -> list[Checkpoint]:
        return self.records.checkpoints(self.job.id)


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    return Hosts(tmp_path)


FINISHED = Kept(slot="finished", key="k")
UNFINISHED = Kept(slot="unfinished", key="k-unfinished")


def test_another_host_has_what_this_one_kept(hosts: Hosts) -> None:
    hosts.put("a", "k", FILES)
    hosts.keep("a", FINISHED)
    hosts.restore("b")
    assert hosts.found("b", "k") == FILES
    assert (hosts.folder("b") / "k" / "used").exists()


def test_the_same_files_are_the_same_blob(hosts: Hosts) -> None:
    for host in ("a", "b"):
        hosts.put(host, "k", FILES)
        hosts.keep(host, FINISHED)
        hosts.put(host, "k-unfinished", FILES)
        hosts.keep(host, UNFINISHED)
    assert len({checkpoint.sha256 for checkpoint in hosts.stored}) == 1


def test_of_an_unfinished_step_the_newest_state_is_used(hosts: Hosts) -> None:
    """The other host's where it went on further, our own where we did."""
    ours = hosts.put("a", "k-unfinished", {"state": b"early"})
    hosts.put("b", "k-unfinished", {"state": b"late"})
    hosts.keep("b", UNFINISHED)
    os.utime(ours / "state", (1000, 1000))
    hosts.restore("a")
    assert hosts.found("a", "k-unfinished") == {"state": b"late"}
    hosts.put("a", "k-unfinished", {"state": b"latest"})
    hosts.restore("a")
    assert hosts.found("a", "k-unfinished") == {"state": b"latest"}


def test_what_was_drawn_until_then_goes_with_it(hosts: Hosts) -> None:
    """Onto a host that has drawn nothing itself."""
    drawn = hosts.curves("a") / "0-finetune" / "events"
    drawn.parent.mkdir()
    drawn.write_bytes(b"a curve")
    hosts.put("a", "k", FILES)
    hosts.keep("a", FINISHED)
    hosts.restore("b")
    there = hosts.curves("b") / "0-finetune" / "events"
    assert there.read_bytes() == b"a curve"
    there.write_bytes(b"another")
    hosts.restore("b")
    assert there.read_bytes() == b"another"
    assert {checkpoint.slot for checkpoint in hosts.stored} == {"curves", "finished"}


def test_who_was_overtaken_hands_nothing_over(hosts: Hosts) -> None:
    hosts.put("a", "k", FILES)
    late = hosts.handover("a")
    hosts.records.release(hosts.job.id, hosts.job.attempt, time.time())
    late.keep(FINISHED)
    late.close()
    assert hosts.stored == []


def test_only_plain_files_of_its_own_folder_are_taken(hosts: Hosts, tmp_path: Path) -> None:
    """Whatever a child makes of it: links to what is ours, pipes, folders, nothing at all."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "database").write_bytes(b"secret")
    (hosts.folder("a") / "k").symlink_to(tmp_path / "secret")
    for name in ("link", "hard", "pipe", "folder"):
        hosts.put("a", name, {"model.onnx": b"x"})
    (hosts.folder("a") / "link" / "more").symlink_to(tmp_path / "secret" / "database")
    (hosts.folder("a") / "hard" / "more").hardlink_to(tmp_path / "secret" / "database")
    os.mkfifo(hosts.folder("a") / "pipe" / "more")
    (hosts.folder("a") / "folder" / "more").mkdir()
    for name in ("k", "link", "hard", "pipe", "folder", "none"):
        hosts.keep("a", Kept(slot="finished", key=name))
    assert hosts.stored == []


def test_what_is_missing_or_no_checkpoint_is_done_again(hosts: Hosts) -> None:
    hosts.put("a", "k", FILES)
    hosts.keep("a", FINISHED)
    [stored] = hosts.stored
    writer = hosts.blobs.writer()
    writer.write(b"no archive")
    for sha256 in ("0" * 64, writer.commit()[0]):
        hosts.records.keep_checkpoint(hosts.job.attempt, replace(stored, sha256=sha256))
        hosts.restore("b")
        assert hosts.found("b", "k") == {}


@pytest.mark.parametrize("key", ["../up", "a/b", "", "A", "k" * 101])
def test_a_message_names_a_folder_and_no_path(key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        Kept(slot="finished", key=key)
