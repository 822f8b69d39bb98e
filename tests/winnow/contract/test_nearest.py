"""The nearest known name, for short lists of ours and long ones of models."""

import difflib

from hypothesis import given
from hypothesis import strategies as st

from winnow.contract.nearest import MAX_CHARACTERS, did_you_mean, nearest

FEW = st.lists(st.text("abcde_.", min_size=1, max_size=12), unique=True, max_size=25)
VALUES = [
    f"/model/layers.{i}/attention/{part}_output_0"
    for i in range(999)
    for part in ("q/MatMul", "k/MatMul", "Add")
]


@given(FEW, st.text("abcde_.", max_size=12))
def test_of_few_names_the_nearest_of_all_is_found(known: list[str], name: str) -> None:
    assert nearest(name, known) in (*difflib.get_close_matches(name, known, len(known) or 1), None)
    assert (nearest(name, known) is None) == (not difflib.get_close_matches(name, known, 1))


@given(st.sampled_from(VALUES), st.data())
def test_of_thousands_one_that_differs_in_a_few_characters_is_found(value: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(value) - 1))
    wrong = value[:place] + value[place + 1 :]
    found = nearest(wrong, VALUES)
    assert found is not None
    assert difflib.SequenceMatcher(None, found, wrong).ratio() > 0.9


def test_the_case_of_letters_is_no_difference() -> None:
    assert did_you_mean("INT8", ["int8", "float16"]) == " Did you mean int8?"


def test_a_name_without_end_is_not_guessed_at() -> None:
    assert nearest("x" * (MAX_CHARACTERS + 1), ["x" * MAX_CHARACTERS]) is None
