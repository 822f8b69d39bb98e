"""The work itself: from a task to a plain dict."""

import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, assert_never

from winnow.contract.errors import Refusal
from worker.child import problems
from worker.child.imports import uncollected
from worker.child.messages import Messages
from worker.child.protocol import Done, Refused
from worker.child.spec import (
    CompareModels,
    Compress,
    InspectDataset,
    InspectModel,
    JudgeFinal,
    LoadModel,
    MakeStudent,
    Propose,
    RenderPage,
    ShowPreview,
    Spec,
    Task,
    TryLoading,
)
from worker.compression.data.ranges import ranged


def send_outcome(
    specification: bytes, messages: Messages, work: Callable[..., dict[str, Any]] | None
) -> None:
    """Do the task of the specification (a `Spec` as JSON) and send what came of it. `work`: `perform` unless told."""
    task = Spec.model_validate_json(specification).task
    ranged.ask(messages.fetch)
    messages.send(_outcome(task, messages, work or perform))


def _outcome(task: Task, messages: Messages, work: Callable[..., dict[str, Any]]) -> Done | Refused:
    try:
        return Done(result=work(task, messages))
    except Refusal as refusal:
        return Refused(problem=refusal.problem)
    except BaseException as error:  # whatever a library throws, the user gets a sentence
        traceback.print_exc()
        return Refused(problem=problems.of(error, task))


def perform(task: Task, messages: Messages) -> dict[str, Any]:
    """Raises `Refusal` for what is the user's to mend."""
    with uncollected():
        work = _imported(task, messages)
    return work()


def _imported(task: Task, messages: Messages) -> Callable[[], dict[str, Any]]:
    """Import what does the task, and no more: the only place that imports what takes long."""
    match task:
        case InspectModel():
            from worker.child.tasks.models import inspect_model

            return partial(inspect_model, task)
        case MakeStudent():
            from worker.child.tasks.students import make_student

            return partial(make_student, task)
        case InspectDataset():
            from worker.child.tasks.datasets import inspect_dataset

            return partial(inspect_dataset, task)
        case Propose():
            from worker.child.tasks.inquiries import propose

            return partial(propose, task)
        case ShowPreview():
            from worker.child.tasks.inquiries import preview

            return partial(preview, task)
        case RenderPage():
            from worker.child.tasks.pages import render_page

            return partial(render_page, task, messages)
        case Compress():
            from worker.child.tasks.jobs import compress

            return partial(compress, task, messages)
        case JudgeFinal():
            from worker.child.tasks.jobs import judge_final

            return partial(judge_final, task, messages)
        case LoadModel() | TryLoading():
            raise AssertionError("done by `worker.child.__main__`, without what is imported here")
        case CompareModels():
            from worker.child.tasks.comparing import compare_models

            return partial(compare_models, task, messages)
        case _:
            assert_never(task)
