"""The work itself: from a task to a plain dict. The heavy imports are here, inside the functions that need them."""

import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, assert_never

from winnow.contract.dataset import Rejected
from winnow.contract.errors import Refusal
from winnow.contract.inquiry import Preview, Proposal
from worker.child import problems
from worker.child.imports import uncollected
from worker.child.messages import Messages
from worker.child.protocol import Done, Refused
from worker.child.spec import (
    ANSWER_FILE,
    CompareModels,
    Compress,
    InspectDataset,
    InspectModel,
    Judged,
    JudgeFinal,
    LoadModel,
    MakeStudent,
    Propose,
    RenderPage,
    Rows,
    ShowPreview,
    Spec,
    Task,
    TryLoading,
)
from worker.compression.data.ranges import ranged
from worker.compression.data.source import ChosenRows, Data, Source

if TYPE_CHECKING:
    from worker.compression.options import Options


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
    match task:
        case InspectModel():
            return _inspect_model(task)
        case MakeStudent():
            return _make_student(task)
        case InspectDataset():
            return _inspect_dataset(task)
        case Propose():
            return _propose(task)
        case ShowPreview():
            return _preview(task)
        case RenderPage():
            return _render_page(task, messages)
        case Compress():
            return _compress(task, messages)
        case JudgeFinal():
            return _judge_final(task, messages)
        case LoadModel():
            raise AssertionError("done by `worker.child.__main__`, without what is imported here")
        case TryLoading():
            return _try_loading(task)
        case CompareModels():
            return _compare_models(task, messages)
        case _:
            assert_never(task)


def _inspect_model(task: InspectModel) -> dict[str, Any]:
    with uncollected():
        from worker.compression.upload.inspection import inspect_model

    inspected = inspect_model(
        task.path,
        task.format,
        task.declared,
        task.scratch,
        allow_torchscript=task.allow_torchscript,
        max_unpacked_bytes=task.max_unpacked_bytes,
    )
    converted = str(inspected.converted) if inspected.converted else None
    return {
        "facts": inspected.facts.model_dump(mode="json"),
        "converted": converted,
        "unpacked_bytes": inspected.unpacked_bytes,
    }


def _make_student(task: MakeStudent) -> dict[str, Any]:
    from worker.compression.tasks.student_model import make_student_model

    cap = task.max_unpacked_bytes
    made = make_student_model(task.path, task.settings, task.seed, task.scratch, max_unpacked_bytes=cap)
    size = made.path.stat().st_size
    return {
        "facts": made.facts.model_dump(mode="json"),
        "converted": str(made.path),
        "unpacked_bytes": size,
    }


def _inspect_dataset(task: InspectDataset) -> dict[str, Any]:
    """What does not fit its declaration is answered with the arrays, so that it can be declared right."""
    with uncollected():
        from worker.compression.data.formats.opening import archive_index
        from worker.compression.data.inspection.inspect import array_facts, inspect_dataset

    cap = task.max_unpacked_bytes
    try:
        facts = inspect_dataset(task.path, task.declaration, task.scratch, max_unpacked_bytes=cap)
    except Refusal as refusal:
        arrays = array_facts(task.path, task.scratch, max_unpacked_bytes=cap)
        rejected = Rejected(problem=refusal.problem, arrays=arrays)
        return {"rejected": rejected.model_dump(mode="json")}
    index = archive_index(task.path, task.scratch, max_bytes=cap) if task.indexes else None
    return {"facts": facts.model_dump(mode="json"), "index": index and str(index)}


def _propose(task: Propose) -> dict[str, Any]:
    from worker.compression.proposal.propose import propose

    cap = task.max_unpacked_bytes
    proposal = propose(task.path, task.model, task.out_dir, max_unpacked_bytes=cap)
    return _answered(proposal, task.out_dir)


def _preview(task: ShowPreview) -> dict[str, Any]:
    from worker.compression.proposal.preview import preview

    source, cap = Source(task.path, task.declaration), task.max_unpacked_bytes
    return _answered(
        preview(source, task.model, task.rows, task.out_dir, max_unpacked_bytes=cap), task.out_dir
    )


def _answered(content: Proposal | Preview, folder: Path) -> dict[str, Any]:
    (folder / ANSWER_FILE).write_text(content.model_dump_json())
    return {}  # pictures are larger than a message may be


def _compress(task: Compress, messages: Messages) -> dict[str, Any]:
    with uncollected():
        from worker.compression.pipeline import compress

    compress(task.model, task.recipe, _data(task), task.out_dir, messages, options=_options(task, messages))
    return {}  # all that is to be said is in `report.json`


def _judge_final(task: JudgeFinal, messages: Messages) -> dict[str, Any]:
    with uncollected():
        from worker.compression.tasks.final import Finalist, judge_final

    finalists = [Finalist(each.number, each.artifact, each.report, each.recipe) for each in task.tried]
    data, options = _data(task), _options(task, messages)
    judge_final(task.model, finalists, task.search, data, task.out_dir, messages, options=options)
    return {}


def _render_page(task: RenderPage, messages: Messages) -> dict[str, Any]:
    from worker.compression.tasks.page_again import JobFiles, page_again

    job = None
    if task.judged is not None:
        job = JobFiles(task.judged.model, _data(task.judged), _options(task.judged, messages))
    page_again(task.report, task.artifact, task.recipe, job, task.out_dir, messages, task.names)
    return {}


def _data(task: Judged) -> Data:
    return Data(
        calibration=_source(task.calibration),
        training=_source(task.training),
        evaluation=_source(task.evaluation_data),
        whole=_source(task.whole),
    )


def _options(task: Judged, messages: Messages) -> "Options":
    from worker.compression.options import Options

    return Options(
        task.evaluation,
        task.require,
        task.benchmark,
        task.seed,
        task.max_unpacked_bytes,
        task.models,
        messages,
        task.judging,
        task.extent,
        task.request,
        task.target,
        messages.tell_kept,
        page=task.judging != "trial",
        explain=task.explain and task.judging != "trial",
        names=task.names,
    )


def _try_loading(task: TryLoading) -> dict[str, Any]:
    from worker.compression.runtime.loading import try_loading

    return try_loading(task.model, task.target)


def _compare_models(task: CompareModels, messages: Messages) -> dict[str, Any]:
    with uncollected():
        from worker.compression.measure.apart.processes import COMPARISON, Comparing
        from worker.compression.measure.compare_apart import open_and_compare

    comparing = Comparing(
        task.baseline,
        task.candidate,
        task.inputs,
        _source(task.evaluation_data),
        _source(task.calibration),
        task.overlap,
        task.evaluation,
        task.benchmark,
        task.seed,
        task.max_unpacked_bytes,
        task.extent,
        task.target,
    )
    folder = Path(mkdtemp(prefix="data-"))
    compared: dict[str, Any] = COMPARISON.dump_python(
        open_and_compare(comparing, folder, messages, messages), mode="json"
    )
    return compared


def _source(rows: Rows | None) -> Source | None:
    if rows is None:
        return None
    chosen = ChosenRows(rows.chosen) if rows.chosen is not None else None
    return Source(rows.path, rows.declaration, rows.slice, rows.map, chosen)
