"""JSON that every parser reads alike, in time that is linear in its length."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.support.refusals import refusal
from winnow.contract.declaration import Declaration
from winnow.contract.errors import MAX_COLLECTED, Problem, Refusal
from winnow.contract.job import JobRequest
from winnow.contract.strict_json import MAX_COMMAS, MAX_LEVELS, MAX_PATH_CHARACTERS, read_json, read_model

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner, max_size=4
        )
    ),
    max_leaves=20,
)


def refused(content: str | bytes, where: str = "") -> tuple[str, str | None]:
    problem = refusal(lambda: read_json(content, where))
    assert isinstance(problem, Problem)
    return problem.code, problem.field


@given(value=plain, ascii=st.booleans())
def test_what_json_writes_comes_back(value: Any, ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    assert read_json(text) == value
    assert read_json(text.encode()) == value


@given(value=plain, key=st.sampled_from(["a", "b", "ä", ""]), other=st.sampled_from(["", "x", "y"]))
def test_a_key_twice_is_found_at_any_depth(value: Any, key: str, other: str) -> None:
    name = json.dumps(key)
    inner = f"{{{name}: {json.dumps(value)}, {json.dumps('other' + other)}: 1, {name}: 1}}"
    assert refused(f'[0, {{"deep": {inner}}}]') == ("malformed_request", f"1.deep.{key}")


@pytest.mark.parametrize(
    ("content", "code", "field"),
    [
        (b"\xef\xbb\xbf{}", "malformed_request", None),
        ("{}".encode("utf-16"), "malformed_request", None),
        ("{}".encode("utf-32"), "malformed_request", None),
        (b'{"a": "\xff"}', "malformed_request", None),
        (b'{"a": "\xed\xa0\x80"}', "malformed_request", None),
        ('{"a": [1, NaN]}', "malformed_request", "a.1"),
        ('{"a": Infinity}', "malformed_request", "a"),
        ('{"a": -Infinity}', "malformed_request", "a"),
        ('{"a": 1e999}', "malformed_request", "a"),
        ('{"a": ' + "9" * 100_000 + "}", "malformed_request", "a"),
        ('{"a": 0.' + "9" * 100_000 + "}", "malformed_request", "a"),
        ('{"a": ' + "9" * 20 + "}", "invalid_request", "a"),
        ('{"a": "\\ud800"}', "invalid_request", "a"),
        ('{"a": {"\\udc00": 1}}', "invalid_request", "a"),
        ('{"a": "\\u0000"}', "invalid_request", "a"),
        ("{'a': 1}", "malformed_request", None),
        ('{"a": 1,}', "malformed_request", None),
        ('{"a": 01}', "malformed_request", None),
        ('{"a": 1} {"b": 2}', "malformed_request", None),
        ('{"a": 1} // why', "malformed_request", None),
        ('{"a": "\t"}', "malformed_request", None),
        ("", "malformed_request", None),
    ],
)
def test_what_parsers_read_differently_is_refused(content: str | bytes, code: str, field: str | None) -> None:
    assert refused(content) == (code, field)


@pytest.mark.parametrize("depth", [MAX_LEVELS + 1, 900, 100_000, 1_000_000])
def test_depth_is_bounded(depth: int) -> None:
    assert refused("[" * depth + "]" * depth)[0] == "malformed_request"
    assert refused('{"a":' * depth + "1" + "}" * depth)[0] == "malformed_request"


def test_as_deep_as_is_allowed_is_read() -> None:
    read_json("[" * (MAX_LEVELS - 1) + "1" + "]" * (MAX_LEVELS - 1))


def test_the_number_of_values_is_bounded() -> None:
    assert refused("[" + "1," * (MAX_COMMAS + 1) + "1]")[0] == "malformed_request"
    read_json("[" + "1," * MAX_COMMAS + "1]")


class Point(BaseModel):
    x: int
    at: tuple[float, float]


def test_a_model_is_made_without_a_guess() -> None:
    assert read_model(Point, '{"x": 1, "at": [1, 2.5]}') == Point(x=1, at=(1, 2.5))
    for wrong in ("1.0", '"1"', "true", "null"):
        problem = refusal(lambda wrong=wrong: read_model(Point, f'{{"x": {wrong}, "at": [1, 2]}}', "p"))  # type: ignore[misc]
        assert problem is not None
        assert (problem.code, problem.field) == ("invalid_request", "p.x")


def test_every_fault_is_told_below_the_place_of_the_json() -> None:
    problem = refusal(lambda: read_model(Point, '{"x": "1", "at": [1, "2"]}', "p"))
    assert problem is not None
    assert [error.path for error in problem.errors] == ["p.x", "p.at.1"]


def below(keys: int, characters: int, inner: Any) -> Any:
    for _ in range(keys):
        inner = {"k" * characters: inner}
    return inner


@pytest.mark.parametrize(
    ("keys", "characters"), [(1, MAX_PATH_CHARACTERS + 1), (1, 500_000), (29, 1000), (29, 17)]
)
def test_a_path_is_bounded_however_many_keys_it_has(keys: int, characters: int) -> None:
    assert refused(json.dumps(below(keys, characters, [0, 0])))[0] == "malformed_request"


def declared(name: str) -> dict[str, Any]:
    return {"inputs": {name: {"array": "a", "std": ["x"] * 10_000}}}


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (JobRequest, below(1, 500_000, [0] * MAX_COMMAS)),
        (JobRequest, below(29, 1000, [0] * MAX_COMMAS)),
        (JobRequest, below(1, 450, [float("nan")] * MAX_COMMAS)),
        (JobRequest, below(1, 450, ["\0"] * MAX_COMMAS)),
        (Declaration, declared("k" * 500_000)),
        (Declaration, declared("k" * 450)),
        (Declaration, declared("\U0001f600" * 450)),
        (JobRequest, {f"unknown{n}": 0 for n in range(10_000)}),
    ],
)
def test_no_body_takes_much_more_memory_than_it_has_bytes(kind: type[BaseModel], sent: Any) -> None:
    """Counted where Python allocates; every fault repeats the keys above it."""
    content = json.dumps(sent).encode()
    tracemalloc.start()
    try:
        with pytest.raises(Refusal) as caught:
            read_model(kind, content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(caught.value.errors) <= MAX_COLLECTED
    assert peak < 64 * 2**20
