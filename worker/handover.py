"""The checkpoints of a job on their way to another host: packed into blobs when a child has them, unpacked for another.

    child ──"kept"──▶ this ──tar──▶ blob, named in the records             (a thread: the work goes on meanwhile)
    blob ──verified by its hash──▶ checkpoints/<key>/ ──▶ child            (before an attempt begins)

With a checkpoint goes what trainings have drawn until then. What cannot be handed over is done again: nothing fails by
it. Only the last of each slot is handed over. The child wrote these files, so only plain ones that lie in the
checkpoint's own folder are taken, and no more than a few.
"""

import logging
import os
import re
import shutil
import tarfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Final, Protocol, assert_never

from app.storage.plain_file import open_plain
from app.storage.ports import Blobs, Records, StoreAway
from app.storage.records import Checkpoint, CheckpointSlot, Job, Trial
from winnow.contract.errors import Refusal
from worker.blob_cache import Files
from worker.child.protocol import Kept
from worker.compression.cache.bounded_folder import USED
from worker.compression.cache.unfinished import PARTIAL, checkpoint_folder
from worker.curves import BlobStream, pack, unpack

log = logging.getLogger(__name__)

MAX_FILES: Final = 16
CLOCK_SECONDS: Final = 5.0
"""By which a file may be older than the message that tells of it."""
_PASSING: Final = (USED, PARTIAL)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Handover(Protocol):
    """Of one attempt."""

    def keep(self, message: Kept) -> None:
        """Hand over what the child has just kept, by and by."""

    def restore(self, files: Files) -> None:
        """Give the attempt what another host had. Raises `StoreAway`."""

    def close(self) -> None:
        """Wait until all is handed over."""


class NoHandover:
    """On the one host that there is, the folder is there again."""

    def keep(self, message: Kept) -> None: ...

    def restore(self, files: Files) -> None: ...

    def close(self) -> None: ...


class BlobHandover:
    """`Handover` by blobs; `folder` is that of the job's checkpoints, `curves` that of its curves."""

    def __init__(self, records: Records, blobs: Blobs, item: Job | Trial, folder: Path, curves: Path) -> None:
        self._records, self._blobs, self._item = records, blobs, item
        self._folder, self._curves, self._stored_curves = folder, curves, ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="handover")
        self._lock = Lock()
        self._waiting: dict[CheckpointSlot, Checkpoint] = {}

    def keep(self, message: Kept) -> None:
        """Of what comes faster than it can be stored, the last is."""
        named = Checkpoint(
            item=self._item.id, slot=message.slot, key=message.key, sha256="", kept_at=time.time()
        )
        with self._lock:
            if message.slot == "finished":
                self._waiting.pop("unfinished", None)
            is_first = message.slot not in self._waiting
            self._waiting[message.slot] = named
        if is_first:
            self._thread.submit(self._store_next, message.slot)

    def restore(self, files: Files) -> None:
        for checkpoint in self._records.checkpoints(self._item.id):
            if self._is_here(checkpoint):
                continue
            try:
                self._unpack(checkpoint, files(checkpoint.sha256))
            except StoreAway:
                raise
            except (OSError, ValueError, tarfile.TarError, zipfile.BadZipFile, Refusal) as error:
                log.warning("%s: the checkpoint %s cannot be had: %s", self._item.id, checkpoint.key, error)

    def close(self) -> None:
        self._thread.shutdown()

    def _store_next(self, slot: CheckpointSlot) -> None:
        with self._lock:
            checkpoint = self._waiting.pop(slot, None)
        if checkpoint is None:
            return
        try:
            self._store(checkpoint)
        except Exception as error:  # whatever a child made up, and whichever store is away
            log.warning("%s: the checkpoint %s is not handed over: %s", self._item.id, checkpoint.key, error)

    def _store(self, checkpoint: Checkpoint) -> None:
        self._put(replace(checkpoint, sha256=_pack(self._folder / checkpoint.key, self._blobs)))
        packed = pack(self._curves, self._blobs)
        if packed is not None and packed[0] != self._stored_curves:
            self._stored_curves = packed[0]
            self._put(replace(checkpoint, slot="curves", key="curves", sha256=packed[0]))

    def _put(self, checkpoint: Checkpoint) -> None:
        if not self._records.keep_checkpoint(self._item.attempt, checkpoint):
            log.info("%s: overtaken, the checkpoint %s is nobody's", self._item.id, checkpoint.key)

    def _is_here(self, checkpoint: Checkpoint) -> bool:
        """Whether this host has it, or has gone on since."""
        place = self._folder / checkpoint.key
        match checkpoint.slot:
            case "finished":
                return place.is_dir()
            case "unfinished":
                return _newest(place) >= checkpoint.kept_at - CLOCK_SECONDS
            case "curves":
                return False
            case _:
                assert_never(checkpoint.slot)

    def _unpack(self, checkpoint: Checkpoint, archive: Path) -> None:
        if checkpoint.slot == "curves":
            unpack(archive, self._curves)
            return
        place = checkpoint_folder(self._folder)
        place.remove(checkpoint.key)
        place.add(checkpoint.key, lambda folder: _write(archive, folder))
        log.info("%s: goes on after the checkpoint %s of another host", self._item.id, checkpoint.key)


def _pack(folder: Path, blobs: Blobs) -> str:
    """Store the folder's files as one archive; its SHA-256. The same files make the same bytes.

    Raises `ValueError` for what is no folder of a few plain files, and `OSError`.
    """
    descriptor = os.open(folder, _FOLDER)  # whatever is put in its place meanwhile
    writer = blobs.writer()
    try:
        with os.scandir(descriptor) as entries:
            names = sorted(entry.name for entry in entries if entry.name not in _PASSING)
        if not 0 < len(names) <= MAX_FILES:
            raise ValueError(f"{folder} holds {len(names)} files")
        with tarfile.open(mode="w|", fileobj=BlobStream(writer)) as archive:  # type: ignore[call-overload]
            for name in names:
                with open_plain(Path(name), descriptor) as file:
                    entry = tarfile.TarInfo(name)
                    entry.size = os.fstat(file.fileno()).st_size
                    archive.addfile(entry, file)
        return writer.commit()[0]
    finally:
        writer.abort()
        os.close(descriptor)


def _write(archive: Path, folder: Path) -> None:
    with tarfile.open(archive, "r:") as packed:
        for entry in packed:
            source = packed.extractfile(entry) if entry.isreg() and _NAME.fullmatch(entry.name) else None
            if source is None:
                raise ValueError(f"{entry.name!r} is no file of a checkpoint")
            with (folder / entry.name).open("xb") as file:
                shutil.copyfileobj(source, file)


def _newest(folder: Path) -> float:
    """When the last of its files was written; 0 where there is none."""
    return max((file.stat().st_mtime for file in folder.glob("*") if file.name != USED), default=0.0)
