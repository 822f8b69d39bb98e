"""A link opens what it was signed for, until its time is over."""

import pytest

from app.access.links import check_link, link_secret, sign
from app.storage.memory import MemoryRecords
from winnow.contract.errors import Refusal

SIGNED = sign("secret", "job_1", "artifact", 100)


def test_a_link_opens_what_it_was_signed_for() -> None:
    check_link("secret", "job_1", "artifact", 100, SIGNED, now=99.9)


@pytest.mark.parametrize(
    ("secret", "job", "what", "expires", "signed"),
    [
        ("other", "job_1", "artifact", 100, SIGNED),
        ("secret", "job_2", "artifact", 100, SIGNED),
        ("secret", "job_1", "report", 100, SIGNED),
        ("secret", "job_1", "artifact", 101, SIGNED),
        ("secret", "job_1", "artifact", 100, SIGNED[:-1]),
        ("secret", "job_1", "artifact", 100, ""),
    ],
)
def test_it_opens_nothing_else(secret: str, job: str, what: str, expires: int, signed: str) -> None:
    with pytest.raises(Refusal, match="link_invalid"):
        check_link(secret, job, what, expires, signed, now=1.0)


def test_it_ends_by_itself() -> None:
    with pytest.raises(Refusal, match="link_expired"):
        check_link("secret", "job_1", "artifact", 100, SIGNED, now=100.0)


def test_one_service_has_one_secret() -> None:
    records = MemoryRecords()
    assert link_secret(records) == link_secret(records)
    assert link_secret(MemoryRecords()) != link_secret(records)
