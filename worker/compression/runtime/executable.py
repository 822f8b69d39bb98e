"""A model that a runtime has loaded: what is timed and judged, whatever the runtime. Imports nothing of ours, as
`session`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class TargetUnavailable(Exception):
    """The runtime is not here, or cannot use the device. The message is a sentence for the user."""


class CannotConvert(Exception):
    """The runtime does not know these `operators`, or not as the model uses them."""

    def __init__(self, operators: Sequence[str], detail: str) -> None:
        self.operators = list(operators)
        super().__init__(detail)


class Executable(Protocol):
    @property
    def provider(self) -> str:
        """Where it runs in truth, as the report says it."""

    def run(self, outputs: Sequence[str] | None, feed: Mapping[str, np.ndarray]) -> list[Any]:
        """Run once and return copies of the named outputs, or of all. Raises what the runtime raises."""


Opener = Callable[[Path, int], Executable]
"""Loads a file to run on this many threads. Raises what the runtime raises, and `TargetUnavailable`."""
