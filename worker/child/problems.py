"""What the user reads when the work ended otherwise than by a refusal: what was reached, measured, and can be done.

Tracebacks, paths and messages of libraries stay in the operator's log.
"""

import errno
from collections.abc import Iterator
from typing import assert_never

from winnow.contract.errors import Problem, Refusal
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
    Task,
    TryLoading,
)

OUT_OF_MEMORY_WORDS = ("bad_alloc", "failed to allocate", "cannot allocate memory", "can't allocate memory")
FULL_DISK_WORDS = ("no space left on device", "disk quota exceeded")
SMALLER = "Ask for less (smaller batches or shapes, fewer samples), or raise `limits.memory_bytes`."
OPERATOR_MEMORY = "Send a smaller file, or ask the operator to raise WINNOW_INSPECT_MEMORY_BYTES."


def too_long(task: Task, seconds: float) -> Problem:
    if isinstance(task, Compress | JudgeFinal):
        advice = "Raise `limits.seconds`, or ask for less: fewer samples, rounds or batch sizes."
        return Refusal(
            "time_limit_exceeded", _stopped("job", seconds) + advice, field="limits.seconds"
        ).problem
    advice = "Send a smaller file, or ask the operator to raise WINNOW_INSPECT_SECONDS."
    return Refusal("time_limit_exceeded", _stopped("inspection", seconds) + advice).problem


def _stopped(what: str, seconds: float) -> str:
    return f"The {what} was stopped after its limit of {seconds:g} s. "


def too_large(task: Task, limit: int, used: int) -> Problem:
    cause = f"The work used {used:,} bytes of memory; its limit is {limit:,}. "
    return _memory(task, cause)


def of(error: BaseException, task: Task) -> Problem:
    """For whatever a library may throw."""
    if isinstance(error, MemoryError) or any(word in str(error).lower() for word in OUT_OF_MEMORY_WORDS):
        return _memory(task, "The work asked for more memory than its limit allows. ")
    if any(_says_full(each) for each in _chain(error)):
        return full_disk()
    return _unexpected(type(error).__name__, task)


def _says_full(error: BaseException) -> bool:
    """Libraries of C++ have only words for it."""
    if isinstance(error, OSError):
        return is_full(error)
    return any(word in str(error).lower() for word in FULL_DISK_WORDS)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what it was raised from or while handling."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def is_full(error: OSError) -> bool:
    """Whether it was raised because there is no room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def full_disk() -> Problem:
    return Refusal("disk_full", "The worker's disk is full. Try again later, or tell the operator.").problem


def _memory(task: Task, cause: str) -> Problem:
    if isinstance(task, Compress | JudgeFinal | LoadModel | TryLoading | CompareModels):
        return Refusal("memory_limit_exceeded", cause + SMALLER, field="limits.memory_bytes").problem
    return Refusal("memory_limit_exceeded", cause + OPERATOR_MEMORY).problem


def _unexpected(name: str, task: Task) -> Problem:
    match task:
        case InspectModel():
            detail = f"The model could not be read ({name}). Check it with onnx.checker, then export it anew."
            return Refusal("invalid_model", detail).problem
        case MakeStudent():
            detail = (
                f"The student could not be made ({name}); the operator's log has the details. Leaving layers out with "
                "`exclude` may get around it."
            )
            return Refusal("step_failed", detail).problem
        case InspectDataset():
            detail = f"The archive could not be read ({name}). Write it anew with numpy.savez."
            return Refusal("invalid_dataset", detail).problem
        case Propose() | ShowPreview():
            detail = f"The data could not be read for the model ({name}). Declare how it is to be read."
            return Refusal("invalid_dataset", detail).problem
        case RenderPage():
            detail = (
                f"The page could not be made ({name}); the operator's log has the details. The report stands."
            )
            return Refusal("step_failed", detail).problem
        case LoadModel() | TryLoading() | CompareModels():
            detail = f"Measuring the models stopped on an unexpected error ({name})."
            return Refusal("model_does_not_run", detail).problem
        case Compress() | JudgeFinal():
            detail = (
                f"The job stopped on an unexpected error ({name}); the operator's log has the details under its id. "
                "Leaving layers out with `exclude` may get around it."
            )
            return Refusal("step_failed", detail).problem
        case _:
            assert_never(task)
