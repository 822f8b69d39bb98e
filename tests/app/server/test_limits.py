"""Bounds of time and number, without sockets."""

from hypothesis import given
from hypothesis import strategies as st

from app.server.clocks import BodyClock, WriteClock
from app.server.limits import (
    DESCRIPTORS_PER_CONNECTION,
    LEAST_CONNECTIONS,
    MOST_CONNECTIONS,
    RESERVED_DESCRIPTORS,
    connections_within,
)

WINDOW, RATE = 30.0, 1000
TICK = 5.0


@given(st.integers(0, 10**6))
def test_connections_leave_descriptors_for_files_and_the_store(descriptors: int) -> None:
    count = connections_within(descriptors)
    assert LEAST_CONNECTIONS <= count <= MOST_CONNECTIONS
    if count > LEAST_CONNECTIONS:
        assert count * DESCRIPTORS_PER_CONNECTION + RESERVED_DESCRIPTORS <= descriptors


def ticked(clock: BodyClock, pieces: list[tuple[float, int]]) -> float | None:
    """When the clock, asked every `TICK`, calls a body late that comes in pieces (pause before it, bytes)."""
    now = tick = 0.0
    for pause, count in pieces:
        now += pause
        while tick + TICK < now:
            tick += TICK
            if clock.is_late(tick):
                return tick
        clock.received(count, now)
    return None


@given(st.lists(st.floats(0.01, 4.9), max_size=200), st.integers(0, 10**6))
def test_a_body_that_always_brings_its_rate_is_never_late(pauses: list[float], more: int) -> None:
    pieces = [(pause, RATE * 5 * 2 + more) for pause in pauses]
    assert ticked(BodyClock(WINDOW, RATE, 0.0), pieces) is None


@given(st.lists(st.floats(1.0, 40.0), min_size=90, max_size=120), st.integers(0, 900))
def test_a_body_that_brings_less_is_late_within_two_windows(pauses: list[float], count: int) -> None:
    late = ticked(BodyClock(WINDOW, RATE, 0.0), [(pause, count) for pause in pauses])
    assert late is not None
    assert late <= 2 * WINDOW + 2 * TICK


@given(st.floats(0.0, 10**6), st.integers(1, 10**9))
def test_silence_is_late_however_much_came_before(before: float, count: int) -> None:
    clock = BodyClock(WINDOW, RATE, before)
    clock.received(count, before)
    assert not clock.is_late(before + WINDOW - 1)
    assert clock.is_late(before + WINDOW + 1e-3)


@given(st.lists(st.integers(1, 10**6), min_size=7, max_size=50))
def test_an_answer_is_late_when_nothing_of_it_is_taken_for_so_long(waiting: list[int]) -> None:
    """What waits may grow meanwhile: that is us."""
    clock = WriteClock(WINDOW, 0.0)
    growing = sorted(waiting)
    late = [clock.is_late(size, (at + 1) * TICK) for at, size in enumerate(growing)]
    assert late == [(at + 1) * TICK >= WINDOW for at in range(len(growing))]


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=50))
def test_an_answer_that_is_taken_slowly_is_not_late(taken: list[int]) -> None:
    clock = WriteClock(WINDOW, 0.0)
    left = [sum(taken[at:]) for at in range(len(taken) + 1)]
    assert not any(clock.is_late(size, at * TICK) for at, size in enumerate(left))
