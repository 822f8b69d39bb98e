"""The known name that is nearest to an unknown one."""

import difflib
from collections.abc import Iterable
from typing import Final

MAX_CHARACTERS: Final = 50
"""Of a name that is guessed at: comparing takes quadratic time."""
MAX_NAMES: Final = 100


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be; None where none is near."""
    if len(name) > MAX_CHARACTERS:
        return None
    lowered = {other.lower(): other for other in [*known][:MAX_NAMES]}
    near = difflib.get_close_matches(name.lower(), lowered, 1)
    return lowered[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean NAME?`, or nothing."""
    near = nearest(name, known)
    return f" Did you mean {near}?" if near else ""
