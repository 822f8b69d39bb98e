"""The page of a report that was made before."""

from typing import Any

from worker.child.messages import Messages
from worker.child.spec import RenderPage
from worker.child.tasks.judged import data_of, options_of
from worker.compression.tasks.page_again import JobFiles, page_again


def render_page(task: RenderPage, messages: Messages) -> dict[str, Any]:
    job = None
    if task.judged is not None:
        job = JobFiles(task.judged.model, data_of(task.judged), options_of(task.judged, messages))
    page_again(task.report, task.artifact, task.recipe, job, task.out_dir, messages, task.names)
    return {}
