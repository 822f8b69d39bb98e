"""A job, a trial, and the final of a search."""

from typing import Any

from worker.child.messages import Messages
from worker.child.spec import Compress, JudgeFinal
from worker.child.tasks.judged import data_of, options_of
from worker.compression import pipeline
from worker.compression.tasks import final
from worker.compression.tasks.order import Finalist


def compress(task: Compress, messages: Messages) -> dict[str, Any]:
    pipeline.compress(
        task.model, task.recipe, data_of(task), task.out_dir, messages, options=options_of(task, messages)
    )
    return {}  # all that is to be said is in `report.json`


def judge_final(task: JudgeFinal, messages: Messages) -> dict[str, Any]:
    finalists = [Finalist(**dict(each)) for each in task.tried]
    data, options = data_of(task), options_of(task, messages)
    final.judge_final(task.model, finalists, task.search, data, task.out_dir, messages, options=options)
    return {}
