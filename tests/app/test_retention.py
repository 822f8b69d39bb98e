"""How long records are kept, as the operator writes it."""

import pytest

from app.retention import STATES, parse_retention
from app.settings import Settings

DAY = 86400.0


def test_unset_is_for_ever() -> None:
    assert parse_retention("") == parse_retention(" , ") == Settings().kept_for == {}


def test_a_rule_without_a_state_is_for_all_that_have_none_of_their_own() -> None:
    assert parse_retention("job.failed=7d, job=2w,model.rejected=90m") == {
        ("job", "succeeded"): 14 * DAY,
        ("job", "failed"): 7 * DAY,
        ("job", "cancelled"): 14 * DAY,
        ("model", "rejected"): 5400.0,
    }


def test_every_kind_can_be_kept_for_so_long() -> None:
    kept = parse_retention("job=1h, model=1h, dataset=1h")
    assert kept == {(kind, state): 3600.0 for kind, states in STATES.items() for state in states}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("forever", "expected KIND=AGE"),
        ("job=7", "expected KIND=AGE"),
        ("job=-1d", "expected KIND=AGE"),
        ("job=1y", "with an age in m, h, d, w"),
        ("trial=1d", "of job, model, dataset"),
        ("job.running=1d", "succeeded or failed or cancelled"),
        ("job=1d, job=2d", "say it once"),
        ("job.failed=1d, job.failed=1d", "say it once"),
    ],
)
def test_what_is_no_rule_is_told(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Settings(retention=text)
