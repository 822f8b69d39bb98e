"""Every job ends, none is lost, none ends twice, no process is left: whatever is killed meanwhile.

On Redis only what concerns the broker; the full matrix with more jobs, each case on a service of its own, is
`make bench-chaos`.
"""

from collections.abc import Iterator

import pytest

from tests.support.chaos import STRAY_SECONDS, Scene, Transport, perform, stage

JOBS = 2
RETRIED = {
    "stop and start": 1,
    "kill the child": 2,
    "kill the worker": 1,
    "kill the API": 1,
    "freeze the worker": 1,
}
"""Case → how many jobs at least need another attempt: else the case did not bite. First where the service has to stop
in seconds: it was not killed before."""

pytestmark = pytest.mark.integration


PLAYED: list[tuple[str, Transport]] = [
    *((case, "files") for case in RETRIED),
    ("kill the worker", "redis"),
    ("kill the API", "redis"),
]


def _running(transport: Transport) -> Iterator[Scene]:
    """A service that goes from one case to the next and leaves no process in the end."""
    with stage(transport) as running:
        yield running
        assert running.service.stop() < 10
        assert running.service.gone(STRAY_SECONDS) == []


@pytest.fixture(scope="module")
def on_files() -> Iterator[Scene]:
    yield from _running("files")


@pytest.fixture(scope="module")
def on_redis() -> Iterator[Scene]:
    yield from _running("redis")


@pytest.mark.parametrize(("case", "transport"), PLAYED)
def test_all_jobs_succeed_once_although(
    case: str, transport: Transport, request: pytest.FixtureRequest
) -> None:
    outcome = perform(request.getfixturevalue(f"on_{transport}"), case, JOBS)
    assert (outcome.succeeded, outcome.lost, outcome.twice, outcome.stray) == (JOBS, 0, 0, 0)
    assert outcome.retried >= RETRIED[case]
    assert outcome.overtaken == (case == "freeze the worker")


def test_a_cancelled_job_ends_within_two_seconds_and_the_others_succeed(on_files: Scene) -> None:
    outcome = perform(on_files, "cancel", JOBS + 1)
    assert (outcome.succeeded, outcome.cancelled, outcome.twice, outcome.stray) == (JOBS - 1, 2, 0, 0)
    assert max(outcome.cancel_seconds) < 2


def test_a_poison_job_fails_and_the_others_succeed(on_files: Scene) -> None:
    outcome = perform(on_files, "poison job", JOBS)
    assert (outcome.succeeded, outcome.failed, outcome.twice, outcome.stray) == (JOBS - 1, 1, 0, 0)


def test_all_jobs_succeed_once_although_redis_forgets_every_message(on_redis: Scene) -> None:
    outcome = perform(on_redis, "kill Redis", JOBS)
    assert (outcome.succeeded, outcome.lost, outcome.twice, outcome.stray) == (JOBS, 0, 0, 0)
