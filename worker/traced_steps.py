"""The steps of a child as spans: it cannot send any itself, having no network; what it says of its steps is enough."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from app import tracing
from worker.child.endings import Reason, Watch
from worker.child.protocol import Note, StepBegun


class TracedSteps:
    """A `Watch` in front of another, and a context, at whose end the last step has ended."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._end: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._end_step()

    def note(self, note: Note) -> None:
        if isinstance(note, StepBegun):
            self._end_step()
            self._end = tracing.begin_span(note.kind, step=note.index)
        self._watch.note(note)

    def tick(self) -> Reason | None:
        return self._watch.tick()

    def _end_step(self) -> None:
        if self._end is not None:
            self._end()
            self._end = None
