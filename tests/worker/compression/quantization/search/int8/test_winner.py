"""Who wins, from numbers alone."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.compression.quantization.search.int8.winner import MIN_SPEEDUP, CandidateResult, choose_winner
from worker.compression.quantization.search.output_error import OutputQuality


def entry(name: str, speedup: float, snr: float, size: int = 30, kept: bool = True) -> CandidateResult:
    return CandidateResult(
        name, 1, size, speedup, (speedup, speedup), 1 / speedup, OutputQuality(snr, 0.99), kept
    )


FLOAT = CandidateResult("float", 0, 100, 1.0, (1.0, 1.0), 1.0, None, True)


@pytest.mark.parametrize(
    ("prefer", "rest", "winner"),
    [
        ("latency", [entry("a", 2.0, 20), entry("b", 1.5, 40)], "a"),
        ("quality", [entry("a", 2.0, 20), entry("b", 1.5, 40)], "b"),
        ("latency", [entry("a", 2.0, 20), entry("b", 1.99, 40)], "b"),
        ("latency", [entry("a", 2.0, 20), entry("b", 1.99, 40, size=95)], "a"),
        ("latency", [entry("a", 3.0, 5, kept=False), entry("b", 1.5, 40)], "b"),
        ("quality", [entry("a", 2.0, 30), entry("b", 1.5, 30.2)], "a"),
        ("quality", [entry("a", 2.0, 20), entry("b", 1.2, 60, size=90)], "a"),
        ("quality", [entry("a", 1.2, 20), entry("b", 0.5, 40)], "a"),
        ("quality", [entry("a", 0.6, 20), entry("b", 0.5, 40)], "b"),
        ("latency", [entry("a", 0.9, 20), entry("b", 0.5, 40)], "float"),
        ("latency", [entry("a", 2.0, 3, kept=False), entry("b", 0.5, 9, kept=False)], "float"),
        ("quality", [entry("a", 2.0, 3, kept=False)], "float"),
        ("latency", [entry("a", 2.0, 40, size=124)], "float"),
        ("quality", [entry("a", 0.9, 40, size=124)], "float"),
        ("quality", [entry("a", 0.9, 40, size=100)], "float"),
        ("latency", [entry("a", 2.0, 40, size=124), entry("b", 1.1, 30)], "b"),
    ],
)
def test_the_winner(prefer: Literal["latency", "quality"], rest: list[CandidateResult], winner: str) -> None:
    entries = [FLOAT, *rest]
    assert entries[choose_winner(entries, prefer)[0]].name == winner


numbers = st.tuples(st.floats(0.2, 5), st.floats(-5, 60), st.integers(10, 120), st.booleans())


@given(rest=st.lists(numbers, min_size=1, max_size=6))
def test_the_fastest_is_never_slower_than_the_float_model_while_quality_is_kept(
    rest: list[tuple[float, float, int, bool]],
) -> None:
    entries = [FLOAT, *(entry(str(i), *numbers) for i, numbers in enumerate(rest))]
    best = entries[choose_winner(entries, "latency")[0]]
    kept = [e for e in entries[1:] if e.keeps_quality and e.bytes <= FLOAT.bytes]
    assert best is FLOAT or best in kept
    assert best.speedup >= min(1.0, 0.99 * MIN_SPEEDUP)
    assert best is FLOAT or best.speedup >= 0.99 * max(e.speedup for e in kept)


@given(rest=st.lists(numbers, min_size=1, max_size=6), prefer=st.sampled_from(["latency", "quality"]))
def test_the_limit_is_a_limit_and_no_file_grows(
    rest: list[tuple[float, float, int, bool]], prefer: Literal["latency", "quality"]
) -> None:
    entries = [FLOAT, *(entry(str(i), *numbers) for i, numbers in enumerate(rest))]
    best = entries[choose_winner(entries, prefer)[0]]
    assert best.keeps_quality
    assert best.bytes <= FLOAT.bytes
    assert best is FLOAT or best.bytes < FLOAT.bytes or best.not_slower
