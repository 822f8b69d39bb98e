"""What the limiter lets through: n + t/T in any t seconds, and never less than n a minute."""

from hypothesis import given
from hypothesis import strategies as st

from app.access.rate import RateLimiter

pauses = st.lists(st.floats(0, 90), min_size=1, max_size=60)


@given(n=st.integers(1, 30), start=st.floats(0, 1e6))
def test_a_minutes_worth_goes_at_once_and_no_more(n: int, start: float) -> None:
    limiter = RateLimiter(n)
    assert [limiter.wait_seconds("ada", start) for _ in range(n)] == [0.0] * n
    wait = limiter.wait_seconds("ada", start)
    assert 0 < wait <= 60 / n * 1.001
    assert limiter.wait_seconds("ada", start + wait * 1.001) == 0.0


@given(n=st.integers(1, 10), pauses=pauses)
def test_no_span_has_more_than_its_share(n: int, pauses: list[float]) -> None:
    limiter, now, went = RateLimiter(n), 1000.0, list[float]()
    for pause in pauses:
        now += pause
        for _ in range(3):
            if limiter.wait_seconds("ada", now) == 0.0:
                went.append(now)
    for first, start in enumerate(went):
        for last in range(first, len(went)):
            assert last - first + 1 <= n + (went[last] - start) * n / 60 + 1e-6


def test_who_is_refused_is_not_counted_and_others_do_not_notice() -> None:
    limiter = RateLimiter(1)
    assert limiter.wait_seconds("ada", 0.0) == 0.0
    assert [limiter.wait_seconds("ada", 30.0) for _ in range(5)] == [30.0] * 5
    assert limiter.wait_seconds("bob", 30.0) == 0.0
    assert limiter.wait_seconds("ada", 60.0) == 0.0


def test_owners_that_are_quiet_are_forgotten() -> None:
    limiter = RateLimiter(60)
    for number in range(10_000):
        limiter.wait_seconds(str(number), 0.0)
    limiter.wait_seconds("another", 120.0)
    assert len(limiter._full) == 1
