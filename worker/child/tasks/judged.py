"""What a result is made from and judged by, as the library has it."""

from worker.child.messages import Messages
from worker.child.spec import Judged, Rows
from worker.compression.data.source import ChosenRows, Data, Source
from worker.compression.options import Options


def data_of(task: Judged) -> Data:
    return Data(
        calibration=source_of(task.calibration),
        training=source_of(task.training),
        evaluation=source_of(task.evaluation_data),
        whole=source_of(task.whole),
    )


def options_of(task: Judged, messages: Messages) -> Options:
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
        on_kept=messages.tell_kept,
        checked=task.checked,
        features=task.features,
        page=task.judging != "trial",
        explain=task.explain and task.judging != "trial",
        names=task.names,
        generate=task.generate,
    )


def source_of(rows: Rows | None) -> Source | None:
    if rows is None:
        return None
    chosen = ChosenRows(rows.chosen) if rows.chosen is not None else None
    return Source(rows.path, rows.declaration, rows.slice, rows.map, chosen)
