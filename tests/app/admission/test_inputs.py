"""Declared inputs: `name:dtype[dims]`."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.admission.inputs import DTYPES, parse_input
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec

names = st.from_regex(r"[A-Za-z_][\w.\-/]*", fullmatch=True).filter(str.isascii)
dims = st.one_of(st.integers(1, 2**31 - 1), st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True))


def test_the_documented_example() -> None:
    assert parse_input("image:float32[N,1,28,28]") == TensorSpec(
        name="image", dtype="float32", shape=["N", 1, 28, 28]
    )


def test_a_scalar_has_no_dimensions() -> None:
    assert parse_input("sr:int64[]").shape == []


@given(name=names, dtype=st.sampled_from(sorted(DTYPES)), shape=st.lists(dims, max_size=6))
def test_what_is_written_is_what_is_read(name: str, dtype: str, shape: list[int | str]) -> None:
    text = f"{name}:{dtype}[{', '.join(map(str, shape))}]"
    assert parse_input(text) == TensorSpec(name=name, dtype=dtype, shape=shape)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "image",
        "image:float32",
        "image[1,2]",
        ":float32[1]",
        "image:float33[1]",
        "image:float32[0]",
        "image:float32[-1]",
        "image:float32[1.5]",
        "image:float32[1,,2]",
        "image:float32[1,]",
        "image:float32[99999999999]",
        "image:float32[N M]",
        "image:float32[1][2]",
        "image:float32[1]; rm",
        "x" * 10_000,
    ],
)
def test_nonsense_is_refused_with_the_field(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_input(text)
    assert caught.value.problem.code == "invalid_request"
    assert caught.value.problem.field == "input"


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Refusal):
        assert parse_input(text).dtype in DTYPES
