"""A child more, which measures for the one that asks: started, and its ending as an answer."""

import logging
import tempfile
from pathlib import Path
from typing import assert_never

from worker.child import problems
from worker.child.endings import Crashed, Ending, Failed, Finished, Stopped
from worker.child.files import lent_to_measure
from worker.child.fork_server import LOAD, WORK
from worker.child.protocol import Answer, Done, Ended, Refused
from worker.child.spawn import CHILD, Child, spawn
from worker.child.spec import Files, LoadModel, Measuring, Spec, TryLoading

log = logging.getLogger(__name__)


def start_measuring(
    task: Measuring, asking: Spec, threads: int | None, name: str
) -> tuple[Child, Spec] | Answer:
    """Start a child that may read what the one that asks may read, and write elsewhere; or say why there is none."""
    beside = asking.files.own
    try:
        lent = lent_to_measure(task, asking)
        folder = Path(tempfile.mkdtemp(dir=beside.parent, prefix=f"{beside.name}-"))
        what = LOAD if isinstance(task, LoadModel | TryLoading) else WORK
        child = spawn(folder, CHILD, threads, what)
    except (ValueError, RuntimeError) as error:  # the latter for links in a circle
        log.warning("%s: asked for what it may not have: %s", name, error)
        return Ended(how="was not started")
    except OSError as error:  # no room; or we were frozen, and another attempt ended the job
        log.warning("%s: could not start what measures: %s", name, error)
        full = problems.is_full(error)
        return Refused(problem=problems.full_disk()) if full else Ended(how="was not started")
    files = Files(own=folder, lent=lent)
    return child, asking.model_copy(update={"task": task, "files": files})


def answer_of(ending: Ending) -> Answer:
    """What the one that asked is told of it."""
    match ending:
        case Finished(result=result):
            return Done(result=result)
        case Failed(problem=problem):
            return Refused(problem=problem)
        case Crashed(how=how):
            return Ended(how=how.removeprefix("its process "))
        case Stopped():
            return Ended(how="was stopped")
        case _:
            assert_never(ending)
