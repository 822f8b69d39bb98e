"""Shell-style patterns of names, matched in time that is bounded by their lengths.

    *        any text, also none, also with `/`
    ?        one character
    [abc]    one of these; [a-z] one of a range; [!abc] one that is none of these; [[] a bracket
    other    itself, upper and lower case apart

The meaning is that of `fnmatch.fnmatchcase`, which takes quadratic time for a text of `[`, and compiles anew what it
has forgotten. What lies between two stars has a fixed length, so its leftmost place is the best one: `str.find` looks
for plain text, a regular expression without repetition for the rest, and nothing goes back.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Annotated, Final

from pydantic import StringConstraints

MAX_GLOB_CHARACTERS: Final = 200
MAX_REMEMBERED: Final = 4096
NAME_OVERHEAD: Final = 50
"""What a comparison costs beside the characters of the name, in characters."""

_WILDCARD: Final = re.compile(r"[*?\[]")

GlobText = Annotated[str, StringConstraints(max_length=MAX_GLOB_CHARACTERS)]


class Glob:
    """A compiled pattern. `effort` is about how many steps one character of a name can cost."""

    def __init__(self, text: str) -> None:
        first, *others = _segments(text)
        self._first, self._last = first, others.pop() if others else None
        self._middle = [segment for segment in others if segment.length]
        self.effort = max((segment.effort for segment in self._middle), default=1)

    def matches(self, name: str) -> bool:
        """Whether the pattern stands for the whole name."""
        if self._last is None:
            return len(name) == self._first.length and self._first.is_at(name, 0)
        start, stop = self._first.length, len(name) - self._last.length
        if start > stop or not (self._first.is_at(name, 0) and self._last.is_at(name, stop)):
            return False
        return all((start := segment.end_in(name, start, stop)) >= 0 for segment in self._middle)


@lru_cache(maxsize=MAX_REMEMBERED)
def glob(text: str) -> Glob:
    """Compile a pattern, or answer the one that was compiled before."""
    return Glob(text)


def is_plain(text: str) -> bool:
    """Whether the text has no wildcard, and so stands for itself alone."""
    return not _WILDCARD.search(text)


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns stands for the name."""
    names, compiled = _told_apart(tuple(patterns))
    return name in names or any(pattern.matches(name) for pattern in compiled)


def matching_effort(patterns: Iterable[str], names: Iterable[str]) -> int:
    """Bound the steps of matching every pattern with every name; those without wildcards are looked up."""
    per_character = sum(glob(pattern).effort for pattern in patterns if not is_plain(pattern))
    return per_character * sum(len(name) + NAME_OVERHEAD for name in names) if per_character else 0


@lru_cache(maxsize=128)
def _told_apart(patterns: tuple[str, ...]) -> tuple[frozenset[str], tuple[Glob, ...]]:
    """Those that are plain names, and the others compiled."""
    names = frozenset(filter(is_plain, patterns))
    return names, tuple(glob(pattern) for pattern in patterns if pattern not in names)


class _Text:
    """What stands for itself, between two stars."""

    def __init__(self, text: str) -> None:
        self._text, self.length, self.effort = text, len(text), 1 + len(text) // 16

    def is_at(self, name: str, start: int) -> bool:
        return name.startswith(self._text, start)

    def end_in(self, name: str, start: int, stop: int) -> int:
        """Where its leftmost place in `name[start:stop]` ends; negative where there is none."""
        place = name.find(self._text, start, stop)
        return place + self.length if place >= 0 else -1


class _Choices:
    """As `_Text`, with a choice of characters in places."""

    def __init__(self, characters: list[str]) -> None:
        self._expression = re.compile("".join(characters), re.DOTALL)
        self.length = self.effort = len(characters)

    def is_at(self, name: str, start: int) -> bool:
        return self._expression.match(name, start) is not None

    def end_in(self, name: str, start: int, stop: int) -> int:
        place = self._expression.search(name, start, stop)
        return -1 if place is None else place.end()


def _segments(text: str) -> Iterator[_Text | _Choices]:
    """What lies before, between and behind the stars."""
    elements: list[str] = []
    for element in [*_elements(text), "*"]:
        if element == "*":
            yield _segment(elements)
            elements = []
        else:
            elements.append(element)


def _segment(elements: list[str]) -> _Text | _Choices:
    if all(len(element) == 1 and element != "?" for element in elements):
        return _Text("".join(elements))
    return _Choices([_expression(element) for element in elements])


def _elements(text: str) -> Iterator[str]:
    """Single characters, and sets with their brackets; a bracket that nothing closes stands for itself."""
    place, last_bracket = 0, text.rfind("]")
    while place < len(text):
        inside = (
            place + 1 + text.startswith("!", place + 1)
        )  # a bracket in the first place belongs to the set
        is_set = text[place] == "[" and inside < last_bracket
        end = text.index("]", inside + 1) if is_set else place
        yield text[place : end + 1]
        place = end + 1


def _expression(element: str) -> str:
    """One character as a regular expression."""
    if len(element) == 1:
        return "." if element == "?" else re.escape(element)
    negated, members = element[1] == "!", element[1 + (element[1] == "!") : -1]
    accepted = "".join(_members(members))
    if not accepted:  # of ranges that go backwards
        return "." if negated else r"[^\s\S]"
    return f"[{'^' if negated else ''}{accepted}]"


def _members(members: str) -> Iterator[str]:
    place = 0
    while place < len(members):
        first, is_range = members[place], members[place + 1 : place + 2] == "-" and place + 2 < len(members)
        last = members[place + 2] if is_range else first
        if first <= last:
            yield f"{re.escape(first)}-{re.escape(last)}"
        place += 3 if is_range else 1
