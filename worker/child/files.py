"""Which files a task names, and whether they are among those that its child may open."""

from pathlib import Path

from worker.child.spec import (
    CompareModels,
    Compress,
    InspectDataset,
    InspectModel,
    Judged,
    JudgeFinal,
    LoadModel,
    MakeStudent,
    Measuring,
    Propose,
    RenderPage,
    Rows,
    ShowPreview,
    Spec,
    Task,
    Tried,
    TryLoading,
)


def named_files(task: Task) -> list[Path]:
    """What the task is to read."""
    match task:
        case InspectModel() | MakeStudent() | InspectDataset():
            return [task.path]
        case Propose() | ShowPreview():
            return [task.path, task.model]
        case Compress() | JudgeFinal():
            tried = [file for each in _tried(task) for file in (each.artifact, each.report)]
            return [*_files_of(task), *tried]
        case RenderPage():
            files = _files_of(task.judged) if task.judged else []
            return [task.report, task.artifact, *files]
        case CompareModels():
            return [task.baseline, task.candidate, *_paths(task.calibration, task.evaluation_data)]
        case LoadModel():
            return [task.model, task.feed]
        case TryLoading():
            return [task.model]


def lent_to_measure(task: Measuring, asking: Spec) -> list[Path]:
    """What a measuring process may read: what the child that asks for it may read, and nothing by its say-so.

    A job may ask for anything to be measured, a comparison for the loading of one model, others for nothing. Raises
    `ValueError` for the rest, and when the task names a file that the child may not read.
    """
    match asking.task, task:
        case (Compress() | JudgeFinal(), _) | (CompareModels(), LoadModel()):
            pass
        case _:
            raise ValueError(f"{asking.task.kind} may not ask for {task.kind}")
    allowed = [asking.files.own, *asking.files.lent]
    for file in named_files(task):
        if not any(file.resolve().is_relative_to(folder.resolve()) for folder in allowed):
            raise ValueError(f"{file} is none of its files")
    return allowed


def _files_of(judged: Judged) -> list[Path]:
    data = (judged.calibration, judged.training, judged.evaluation_data, judged.whole)
    return [judged.model, *judged.models.values(), *_paths(*data)]


def _tried(task: Compress | JudgeFinal) -> list[Tried]:
    return task.tried if isinstance(task, JudgeFinal) else []


def _paths(*rows: Rows | None) -> list[Path]:
    return [each.path for each in rows if each is not None]
