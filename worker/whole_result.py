"""A result that is whole, though what made it did not end well: a job's report is written before its page is drawn.

The report has its name once all of it is written, and names the artifact, which was written before, by its hash.
"""

import hashlib
import logging
from pathlib import Path
from typing import Final

from app.storage.plain_file import open_plain
from app.storage.records import Item, Job, Trial
from worker.child.endings import Crashed, Ending, Failed, Stopped
from worker.child.protocol import Logged
from worker.job_output import ARTIFACT, PAGE, read_report
from worker.scratch import Scratch

log = logging.getLogger(__name__)

WORKER_DIED: Final = "the worker of the attempt before died"


def take_over(scratch: Scratch, item: Item) -> bool:
    """Make this attempt's folder of what an earlier one left whose worker died with all but the page made. False: there
    is none."""
    if not isinstance(item, Job | Trial):
        return False
    whole = next(filter(_is_whole, scratch.earlier(item)), None)
    if whole is not None:
        whole.rename(scratch.folder(item))
    return whole is not None


def why_ended(ending: Ending, item: Item, folder: Path) -> str | None:
    """What ended work whose result is whole all the same. None: it is not, or nothing ended it early."""
    match ending:
        case Failed(problem=problem):
            why = problem.detail
        case Crashed(how=how):
            why = how
        case Stopped(why="shutdown" | "store_away" as reason):
            why = f"the attempt was stopped: {reason}"
        case _:
            return None
    return why if isinstance(item, Job | Trial) and _is_whole(folder) else None


def note_of(item: Item, folder: Path, why: str) -> Logged:
    """What to say of a result that is whole although the work was ended by `why`."""
    draws = isinstance(item, Job) or (isinstance(item, Trial) and item.role == "final")
    if draws and not (folder / PAGE).exists():
        said = f"The report page was not made ({why}); the report itself is whole, and the page can be made of it."
        return Logged(message=said, level="warning", values={})
    return Logged(message=f"The result was whole already ({why}).", values={})


def _is_whole(folder: Path) -> bool:
    """Nothing in the folder is trusted."""
    try:
        told = read_report(folder).artifact_sha256
        with open_plain(folder / ARTIFACT) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == told
    except (OSError, ValueError) as error:
        log.debug("%s: nothing whole: %s", folder, error)
        return False
