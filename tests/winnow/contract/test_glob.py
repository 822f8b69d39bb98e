import random
import re
import warnings
from fnmatch import fnmatchcase

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from winnow.contract import glob as globs
from winnow.contract.glob import MAX_GLOB_CHARACTERS, Glob, glob, matches_any, matching_effort

CHARACTERS = "ab[]!-*?^\\.&\n"
PATTERNS = st.text(CHARACTERS, max_size=12)
NAMES = st.text(CHARACTERS, max_size=8)
BACKWARDS_THEN_BANG = re.compile(r"\[(.-.)+!", re.DOTALL)
"""fnmatch drops the backward range of `[b-a!x]` and takes what is left for a negation."""


@given(PATTERNS, NAMES)
@example("[]a]", "]")
@example("[!]a]", "b")
@example("[!]", "[!]")
@example("[a-", "[a-")
@example("[b-a]", "b")
@example("[!b-a]", "b")
@example("[--b]", "a")
@example("a*a", "a")
@example("**", "")
def test_means_what_fnmatch_means(pattern: str, name: str) -> None:
    assume(not BACKWARDS_THEN_BANG.search(pattern))
    same(pattern, name)


def test_means_so_for_ten_thousand_texts() -> None:
    """Drawn evenly, half of them made to match: hypothesis finds the shortest that differ, this tries far more."""
    draw = random.Random(0)
    matched = 0
    for _ in range(10_000):
        pattern = "".join(draw.choices(CHARACTERS, k=draw.randint(0, 12)))
        if not BACKWARDS_THEN_BANG.search(pattern):
            drawn = "".join(draw.choices(CHARACTERS, k=draw.randint(0, 8)))
            matched += sum(same(pattern, name) for name in (drawn, likely(pattern, draw)))
    assert matched > 1000


def same(pattern: str, name: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = fnmatchcase(name, pattern)
    assert Glob(pattern).matches(name) is expected, (pattern, name)
    return expected


def likely(pattern: str, draw: random.Random) -> str:
    """The pattern with its wildcards filled in: such a name often matches."""
    filled = {
        "*": lambda: "".join(draw.choices(CHARACTERS, k=draw.randint(0, 2))),
        "?": lambda: draw.choice(CHARACTERS),
    }
    return "".join(filled[c]() if c in filled else c for c in pattern)


@given(st.text(max_size=20))
def test_a_name_without_wildcards_matches_itself_alone(name: str) -> None:
    assume(not set("*?[") & set(name))
    assert glob(name).matches(name)
    assert not glob(name).matches(name + "x")


@given(st.text("ab", max_size=10), st.lists(st.integers(0, 10)))
def test_stars_in_any_places_match(name: str, places: list[int]) -> None:
    pattern = "".join("*" * (at in places) + c for at, c in enumerate(name)) + "*"
    assert glob(pattern).matches(name)


def test_a_pattern_is_compiled_once() -> None:
    glob.cache_clear()
    names = [f"layer{i}" for i in range(100)]
    assert not any(matches_any(name, ["*[x]", "y*"]) for name in names)
    assert glob.cache_info().misses == 2


def test_a_text_of_brackets_is_read_once() -> None:
    class Counted(str):
        searched = 0

        def index(self, *arguments: object) -> int:
            Counted.searched += 1
            return super().index(*arguments)  # type: ignore[arg-type]

    assert len(list(globs._elements(Counted("[" * 10_000)))) == 10_000
    assert Counted.searched == 0


@pytest.mark.parametrize(
    "pattern", ["*" * 200, "*a" * 100, "*?" * 100, "[" * 200, "*[ab]" * 40, "*" + "?" * 199]
)
def test_parts_between_stars_are_searched_without_repetition(pattern: str) -> None:
    """So a comparison takes at most characters of the name times length of a part, whatever it looks like."""
    made = Glob(pattern)
    segments = [made._first, *made._middle, *([] if made._last is None else [made._last])]
    assert sum(segment.length for segment in segments) <= MAX_GLOB_CHARACTERS
    for segment in segments:
        if isinstance(segment, globs._Choices):
            assert not set("*+{|") & set(re.sub(r"\\.|\[.*?\]", "", segment._expression.pattern))


def test_effort_grows_with_names_patterns_and_choices() -> None:
    names = ["a" * 50] * 10
    assert matching_effort([], names) == 0
    assert matching_effort(["*a*"], names) == 1000
    assert matching_effort(["*a*", "*a*"], names) == 2000
    assert matching_effort(["*????????????*"], names) == 12_000
