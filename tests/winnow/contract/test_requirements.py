"""What is required together can be met together; anything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from winnow.contract.requirements import MetricBounds, Requirements

SHARES = st.floats(0, 1)


@given(SHARES, SHARES)
def test_bounds_are_refused_where_no_value_meets_both(low: float, high: float) -> None:
    if low <= high:
        assert MetricBounds(min=low, max=high).min == low
    else:
        with pytest.raises(ValidationError, match="no value meets both"):
            MetricBounds(min=low, max=high)


@pytest.mark.parametrize(
    ("require", "refused"),
    [
        ({"min_agreement": 0.9, "metrics": {"agreement": {"max": 0.8}}}, True),
        ({"min_agreement": 0.8, "metrics": {"agreement": {"max": 0.8}}}, False),
        ({"metrics": {"agreement": {"max": 0.8, "max_drop": 0.1}}}, True),
        ({"metrics": {"agreement": {"max": 0.8, "max_drop": 0.3}}}, False),
        ({"min_agreement": 0.9, "metrics": {"f1": {"max": 0.8}}}, False),
        ({"max_size_ratio": 0.5, "max_size_bytes": 1, "min_speedup": 9, "max_latency_ms": 0.1}, False),
    ],
)
def test_only_true_contradictions_are_refused(require: dict[str, object], refused: bool) -> None:
    if refused:
        with pytest.raises(ValidationError, match="no value meets both"):
            Requirements.model_validate(require)
    else:
        assert not Requirements.model_validate(require).is_empty


@pytest.mark.parametrize("name", [name for name in Requirements.model_fields if name != "metrics"])
def test_each_requirement_alone_is_something(name: str) -> None:
    assert not Requirements.model_validate({name: 1}).is_empty
