"""Settings of a student that contradict each other."""

from typing import Any

import pytest
from pydantic import ValidationError

from winnow.contract.recipe import Student


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"target": "macs"}, "needs an amount"),
        ({"amount": 0.5}, "name the target too"),
        ({"target": "macs", "amount": 0.5, "width": 0.5}, "leave one of both out"),
        ({"width": 0}, "greater than 0"),
        ({"depth": 1.5}, "less than or equal to 1"),
    ],
)
def test_what_contradicts_itself_is_refused_with_what_to_leave_out(
    settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValidationError, match=named):
        Student.model_validate({"kind": "student", **settings})
