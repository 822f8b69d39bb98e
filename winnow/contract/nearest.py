"""The known name that is nearest to an unknown one."""

import difflib
from bisect import bisect
from collections.abc import Iterable
from typing import Final

MAX_CHARACTERS: Final = 120
"""Of a name that is guessed at: comparing takes quadratic time."""
NEIGHBOURS: Final = 25
"""Known names that are compared on either side of where the unknown one would stand in their order, once by their
beginnings and once by their ends: a model has tens of thousands of names, and a wrong letter leaves one of both."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be; None where none is near."""
    return next(iter(near(name, known, 1)), None)


def near(name: str, known: Iterable[str], most: int) -> list[str]:
    """The known names that `name` was probably meant to be, the nearest first, `most` of them."""
    if len(name) > MAX_CHARACTERS:
        return []
    lowered = {other.lower(): other for other in known}
    matches = difflib.get_close_matches(name.lower(), _candidates(name.lower(), lowered), most)
    return [lowered[match] for match in matches]


def _candidates(name: str, known: Iterable[str]) -> set[str]:
    """The names that begin most like this one, and those that end most like it; all of them where they are few."""
    beginnings = sorted(known)
    ends = sorted(other[::-1] for other in beginnings)
    return {*_around(name, beginnings), *(end[::-1] for end in _around(name[::-1], ends))}


def _around(name: str, ordered: list[str]) -> list[str]:
    place = bisect(ordered, name)
    return ordered[max(0, place - NEIGHBOURS) : place + NEIGHBOURS]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean NAME?`, or nothing."""
    near = nearest(name, known)
    return f" Did you mean {near}?" if near else ""
