"""How the library tells how far it is. The caller decides what becomes of it."""

from dataclasses import dataclass
from typing import Any, Protocol


class Progress(Protocol):
    def step(self, index: int, kind: str) -> None:
        """A step begins; `kind` is `normalise`, the technique's, or `measure`."""

    def advance(self, fraction: float) -> None:
        """How much of this step is done, 0–1."""

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        """Something worth keeping: a sentence, and numbers with it."""


class Silent:
    """Tells nobody."""

    def step(self, index: int, kind: str) -> None: ...

    def advance(self, fraction: float) -> None: ...

    def log(self, message: str, level: str = "info", **values: Any) -> None: ...


@dataclass(frozen=True)
class Within:
    """A part of a step's work, `start` to `end` of the whole, that tells of itself from 0 to 1."""

    whole: Progress
    start: float
    end: float

    def step(self, index: int, kind: str) -> None: ...

    def advance(self, fraction: float) -> None:
        self.whole.advance(self.start + (self.end - self.start) * fraction)

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        self.whole.log(message, level, **values)
