"""Folders to work in.

root/<id>/attempt-2-…/             what was measured for it in a child more; gone with it
root/<id>/attempt-2/               one attempt's own; gone when the attempt is over
root/<id>/attempt-2/checkpoints →  ../checkpoints     (and the same for curves)
root/<id>/rung-1-attempt-2/        likewise of a trial that goes on: what an earlier rung left is no result of this one
root/<id>/checkpoints/             shared by the attempts of a job; kept while it may be run again
root/<id>/curves/                  likewise: a later attempt does not repeat the steps that drew them
root/<id>/statistics/              of a search: what costs much and is the same for many trials; these also share the
                                   checkpoints of their job
"""

import logging
import os
import shutil
import time
from pathlib import Path

from app.storage.ports import Records
from app.storage.records import Job, Leased, Trial

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
STATISTICS = "statistics"
SHARED = (CHECKPOINTS, "curves")

RETRYABLE = frozenset({"failed", "cancelled"})
KEEP_FAILED_SECONDS = 24 * 3600.0
"""How long the checkpoints of a failed or cancelled job wait for a retry."""


class Scratch:
    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, item: Leased) -> Path:
        """Where this attempt works."""
        return self._attempt(item, item.attempt)

    def _attempt(self, item: Leased, number: int) -> Path:
        rung = f"rung-{item.rung}-" if isinstance(item, Trial) and item.rung else ""
        return self._root / item.id / f"{rung}attempt-{number}"

    def earlier(self, item: Leased) -> list[Path]:
        """What attempts at the same left whose worker died, the latest first."""
        numbers = range(item.attempt - 1, 0, -1)
        return [folder for number in numbers if (folder := self._attempt(item, number)).is_dir()]

    def attempt(self, item: Leased) -> Path:
        """An empty folder for this attempt, with the way to what the job's attempts share."""
        folder = self.folder(item)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for place in self.shared(item):
            place.mkdir(parents=True, exist_ok=True)
            (folder / place.name).symlink_to(os.path.relpath(place, folder))
        return folder

    def shared(self, item: Leased) -> list[Path]:
        """The folders that the attempts of a job have in common, and its trials, which share what they compute; an
        inspection has none."""
        match item:
            case Job():
                return [self._root / item.id / name for name in SHARED]
            case Trial():
                return [
                    *(self._root / item.job / name for name in (CHECKPOINTS, STATISTICS)),
                    self.curves(item),
                ]
            case _:
                return []

    def checkpoints(self, item: Job | Trial) -> Path:
        """Where the attempts of a job keep what they can go on after, or all trials of a search."""
        return self._root / (item.job if isinstance(item, Trial) else item.id) / CHECKPOINTS

    def curves(self, item: Leased) -> Path:
        """Where the training steps of all attempts have drawn their curves."""
        return self._root / item.id / "curves"

    def leave(self, item: Leased) -> None:
        """The attempt is over, the job perhaps not. Also what was measured beside it: `attempt-2-*`."""
        own = self.folder(item)
        for folder in (own, *own.parent.glob(f"{own.name}-*")):
            shutil.rmtree(folder, ignore_errors=True)

    def clear(self, id: str) -> None:
        shutil.rmtree(self._root / id, ignore_errors=True)

    def sweep(self, records: Records) -> None:
        """Remove what nobody will come back to, left by workers that died.

        Listed before asking what is held: a folder is only ever made by who holds its record.
        """
        folders = list(self._root.glob("*_*"))
        held = {item.id for item in records.held()}
        for folder in folders:
            if folder.name not in held and not _wanted(records, folder):
                log.info("removing stale scratch of %s", folder.name)
                self.clear(folder.name)


def _wanted(records: Records, folder: Path) -> bool:
    job = records.any_job(folder.name)
    if job is None or job.state == "succeeded":
        return False
    return job.state not in RETRYABLE or folder.stat().st_mtime > time.time() - KEEP_FAILED_SECONDS
