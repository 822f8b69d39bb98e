"""Every job ends, none is lost, none ends twice, no process is left: whatever is killed meanwhile.

On Redis only what concerns the broker; the full matrix with more jobs is `make bench-chaos`.
"""

import pytest

from tests.support.chaos import Transport, play

JOBS = 2
RETRIED = {
    "kill the child": 2,
    "kill the worker": 1,
    "kill the API": 1,
    "stop and start": 1,
    "freeze the worker": 1,
}
"""Case → how many jobs at least need another attempt: else the case did not bite."""

pytestmark = pytest.mark.integration


PLAYED: list[tuple[str, Transport]] = [
    *((case, "files") for case in RETRIED),
    ("kill the worker", "redis"),
    ("kill the API", "redis"),
]


@pytest.mark.parametrize(("case", "transport"), PLAYED)
def test_all_jobs_succeed_once_although(case: str, transport: Transport) -> None:
    outcome = play(case, transport, JOBS)
    assert (outcome.succeeded, outcome.lost, outcome.twice, outcome.stray) == (JOBS, 0, 0, 0)
    assert outcome.retried >= RETRIED[case]
    assert outcome.overtaken == (case == "freeze the worker")


def test_a_cancelled_job_ends_within_two_seconds_and_the_others_succeed() -> None:
    outcome = play("cancel", "files", JOBS + 1)
    assert (outcome.succeeded, outcome.cancelled, outcome.twice, outcome.stray) == (JOBS - 1, 2, 0, 0)
    assert max(outcome.cancel_seconds) < 2


def test_a_poison_job_fails_and_the_others_succeed() -> None:
    outcome = play("poison job", "files", JOBS)
    assert (outcome.succeeded, outcome.failed, outcome.twice, outcome.stray) == (JOBS - 1, 1, 0, 0)


def test_all_jobs_succeed_once_although_redis_forgets_every_message() -> None:
    outcome = play("kill Redis", "redis", JOBS)
    assert (outcome.succeeded, outcome.lost, outcome.twice, outcome.stray) == (JOBS, 0, 0, 0)
