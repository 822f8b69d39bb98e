"""A real child that does not get through drawing the page, nor through what is measured of fidelity before that: it is
killed, or, with the seed 1, waits to be. With the seed 2 it draws, and dies over fidelity alone."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from worker.child import __main__ as entry
from worker.child.messages import Messages
from worker.child.spec import Task

CHILD = "tests.support.killed_drawing"
WAITS: Final = 1
"""The seed of a job whose child waits."""
DRAWS: Final = 2


def perform(task: Task, messages: Messages) -> dict[str, Any]:
    from worker.child import work
    from worker.compression.materials import Materials
    from worker.compression.result import told
    from worker.compression.result.fidelity.attributions import Attributions
    from worker.compression.result.page import write
    from worker.compression.result.page.subject import Subject
    from worker.compression.tasks import page_again

    draw = write.page_of

    def end_here(subject: Subject) -> bytes:
        if subject.report.seed == DRAWS:
            return draw(subject)
        (subject.artifact.parent / "page.html.partial").write_bytes(b"<!doctype html>")
        if subject.report.seed == WAITS:
            messages.log("drawing")
            time.sleep(600)
        os.kill(os.getpid(), signal.SIGKILL)
        return b""

    def end_before(artifact: Path, materials: Materials) -> Attributions:
        os.kill(os.getpid(), signal.SIGKILL)
        return Attributions()

    write.page_of = end_here
    told.measured_attributions = page_again.measured_attributions = end_before
    return work.perform(task, messages)


def worker(folder: Path, id: str) -> None:
    """A worker with one attempt at this job."""
    from app.queue import MemoryQueue
    from app.settings import Settings
    from app.storage.open import open_blobs, open_records
    from worker.runner import Runner

    settings = Settings(data_dir=folder)
    Runner(settings, open_records(settings), open_blobs(settings), MemoryQueue(), child=CHILD).run(id)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[2].startswith("job_"):
        worker(Path(sys.argv[1]), sys.argv[2])
    else:
        entry.main(perform)
