"""Every whole number that a client may send has bounds, and whatever lies within can be stored and handed on."""

import random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.support.extremes import all_of, extreme
from winnow.contract.declaration import Declaration
from winnow.contract.job import JobRequest
from winnow.contract.recipe import AnyStep

INT64 = 2**63


@pytest.mark.parametrize("model", [JobRequest, Declaration])
def test_every_whole_number_has_bounds_that_64_bits_hold(model: type[BaseModel]) -> None:
    found = all_of(model)
    assert len(found) > 1
    assert [place for place in found if place[1] < -INT64 or place[2] >= INT64] == []


KINDS = {get_args(step.model_fields["kind"].annotation)[0]: step for step in get_args(get_args(AnyStep)[0])}
BOUNDS = {
    kind: [p for p in all_of(step) if p[0].count(".") == 1 and "[]" not in p[0]]
    for kind, step in KINDS.items()
}
SEVERAL = [(kind, *place) for kind, places in BOUNDS.items() for place in places]


@settings(max_examples=200, deadline=None)
@given(place=st.sampled_from(SEVERAL), data=st.data())
def test_a_number_beyond_its_bounds_is_refused_by_name(
    place: tuple[str, str, int, int], data: st.DataObject
) -> None:
    kind, path, lowest, highest = place
    beyond = st.integers(max_value=lowest - 1) | st.integers(min_value=highest + 1)
    number = data.draw(
        beyond
        | st.sampled_from([2**31, 2**63 - 1, 2**63, 10**18, -(2**63)]).filter(
            lambda n: not lowest <= n <= highest
        )
    )
    name = path.removeprefix(".")
    with pytest.raises(ValueError, match=name):
        KINDS[kind].model_validate({"kind": kind, name: number})


@pytest.mark.parametrize("seed", range(8))
def test_what_is_as_large_as_it_may_be_is_taken(seed: int) -> None:
    request = JobRequest.model_validate(extreme(random.Random(seed)))
    assert JobRequest.model_validate_json(request.model_dump_json()) == request
