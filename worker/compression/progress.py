"""How the library tells how far it is. The caller decides what becomes of it."""

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
