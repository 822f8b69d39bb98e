"""The child's side of the pipes: progress and requests go up, answers come down."""

import logging
import os
import select
import threading
from pathlib import Path
from typing import Any

from winnow.contract.errors import Refusal
from winnow.contract.target import Target
from worker.child.protocol import (
    ANSWER,
    Advanced,
    Done,
    Ended,
    Fetched,
    FromChild,
    Kept,
    Logged,
    Measure,
    Need,
    Refused,
    StepBegun,
)
from worker.child.spec import CompareModels, LoadModel, Measuring, Rows, TryLoading
from worker.compression.cache.unfinished import Slot
from worker.compression.data.source import Source
from worker.compression.measure.apart.processes import (
    COMPARISON,
    Comparing,
    Comparison,
    Loadable,
    Loaded,
    ProcessEnded,
)
from worker.compression.progress import Progress

log = logging.getLogger(__name__)

STDIN = 0
UNANSWERED_EXIT = 71


class Messages:
    """`Progress` and `MeasuringProcesses` of the library: JSON lines, whole ones from whatever thread.

    One request at a time: its answer is the next line on stdin that is not empty. Empty ones say that the worker is
    still there; when it is silent for `patience_seconds`, this process ends: it may hold the lock of measurements, and
    whoever works in the frozen worker's place must not wait for it.
    """

    def __init__(self, descriptor: int, patience_seconds: float) -> None:
        self._pipe = os.fdopen(descriptor, "wb", buffering=0)
        self._patience_seconds = patience_seconds
        self._one_at_a_time, self._one_request = threading.Lock(), threading.Lock()

    def send(self, message: FromChild) -> None:
        line = memoryview(message.model_dump_json(fallback=_plain).encode() + b"\n")
        with self._one_at_a_time:
            while line:
                line = line[self._pipe.write(line) or 0 :]

    def step(self, index: int, kind: str) -> None:
        self.send(StepBegun(index=index, kind=kind))

    def advance(self, fraction: float) -> None:
        self.send(Advanced(fraction=fraction))

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        self.send(Logged.model_validate({"message": message, "level": level, "values": values}))

    def tell_kept(self, slot: Slot, key: str) -> None:
        self.send(Kept(slot=slot, key=key))

    def load(self, model: Path, feed: Path, threads: int, target: Target) -> Loaded:
        task = LoadModel(kind="load_model", model=model, feed=feed, threads=threads, target=target)
        return Loaded(**self._measured(task))

    def try_loading(self, model: Path, target: Target) -> Loadable:
        return Loadable(**self._measured(TryLoading(kind="try_loading", model=model, target=target)))

    def compare(self, comparing: Comparing, scratch: Path, progress: Progress) -> Comparison:
        """`progress` is told by the other child itself."""
        result = self._measured(
            CompareModels(
                kind="compare_models",
                baseline=comparing.baseline,
                candidate=comparing.candidate,
                inputs=comparing.inputs,
                evaluation_data=_rows(comparing.evaluation),
                calibration=_rows(comparing.calibration),
                overlap=comparing.overlap,
                evaluation=comparing.metric,
                benchmark=comparing.benchmark,
                seed=comparing.seed,
                max_unpacked_bytes=comparing.max_unpacked_bytes,
                extent=comparing.extent,
                target=comparing.target,
            )
        )
        return COMPARISON.validate_python(result)

    def fetch(self, path: Path, start: int, end: int) -> None:
        """Return when these bytes of a dataset are in its file. Raises `Refusal` where they cannot be had."""
        answer = self._answer_to(Need(path=path, start=start, end=end))
        assert isinstance(answer, Fetched), "who asks for bytes is told of bytes"

    def _measured(self, task: Measuring) -> dict[str, Any]:
        answer = self._answer_to(Measure(task=task))
        if isinstance(answer, Ended):
            raise ProcessEnded(answer.how)
        assert isinstance(answer, Done), "who asks for a measurement is told of one"
        return answer.result

    def _answer_to(self, request: Measure | Need) -> Done | Ended | Fetched:
        with self._one_request:
            self.send(request)
            answer = ANSWER.validate_json(self._next_line())
        if isinstance(answer, Refused):
            problem = answer.problem
            raise Refusal(problem.code, problem.detail, field=problem.field, layer=problem.layer)
        return answer

    def _next_line(self) -> bytes:
        poll, rest = select.poll(), b""
        poll.register(STDIN, select.POLLIN)
        while True:
            chunk = os.read(STDIN, 2**16) if poll.poll(1000 * self._patience_seconds) else b""
            if not chunk:
                log.error("the worker has been silent for %g s", self._patience_seconds)
                os._exit(UNANSWERED_EXIT)
            *lines, rest = (rest + chunk).split(b"\n")
            if answers := [line for line in lines if line]:
                return answers[0]


def _rows(source: Source | None) -> Rows | None:
    if source is None:
        return None
    return Rows(
        path=source.path,
        declaration=source.declaration,
        slice=source.slice,
        map=source.map,
        chosen=source.chosen and source.chosen.bits,
    )


def _plain(value: Any) -> Any:
    """Numbers of numpy, which nobody should have to convert in order to log them."""
    return value.item() if hasattr(value, "item") else str(value)
