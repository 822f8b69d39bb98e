"""A result that is whole, though what made it did not end well: a job's report is written before its page is drawn.

The report has its name once all of it is written, and names the artifact, which was written before, by its hash.
"""

import hashlib
import logging
from collections.abc import Callable
from mmap import ACCESS_READ, mmap
from pathlib import Path

from app.storage.plain_file import open_plain
from app.storage.records import Item, Job, Trial
from worker.child.spec import Logged
from worker.child.supervise import Crashed, Ending, Failed, Finished, Stopped
from worker.job_output import ARTIFACT, read_report
from worker.scratch import Scratch

log = logging.getLogger(__name__)


def take_over(scratch: Scratch, item: Item) -> bool:
    """Make this attempt's folder of what an earlier one left whose worker died over the page. False: there is none."""
    if not isinstance(item, Job | Trial):
        return False
    whole = next(filter(_is_whole, scratch.earlier(item)), None)
    if whole is not None:
        whole.rename(scratch.folder(item))
    return whole is not None


def saved(ending: Ending, item: Item, folder: Path, note: Callable[[Logged], None]) -> Ending:
    """Return that it finished where all but the page was made, and note why that is missing; else the ending itself."""
    match ending:
        case Failed(problem=problem):
            why = problem.detail
        case Crashed(how=how):
            why = how
        case Stopped(why="shutdown" | "store_away" as reason):
            why = f"the attempt was stopped: {reason}"
        case _:
            return ending
    if not isinstance(item, Job | Trial) or not _is_whole(folder):
        return ending
    note(without_page(why))
    return Finished({})


def without_page(why: str) -> Logged:
    said = (
        f"The report page was not made ({why}); the report itself is whole, and the page can be made of it."
    )
    return Logged(message=said, level="warning", values={})


def _is_whole(folder: Path) -> bool:
    """Nothing in the folder is trusted."""
    try:
        told = read_report(folder).artifact_sha256
        with open_plain(folder / ARTIFACT) as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            return hashlib.sha256(content).hexdigest() == told
    except (OSError, ValueError) as error:
        log.debug("%s: nothing whole: %s", folder, error)
        return False
