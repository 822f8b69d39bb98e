"""What can be told of rounds, and that nothing can where each was disturbed."""

import numpy as np

from worker.compression.measure.timing.disturbance import Disturbance
from worker.compression.measure.timing.interleaved import Turns


def rounds(*fastest: float) -> np.ndarray:
    """Ten runs in each round, all equal."""
    return np.repeat(np.array(fastest)[:, None], 10, axis=1)


def test_without_a_round_in_which_both_were_fast_nothing_is_told_and_nothing_breaks() -> None:
    first, other = rounds(1.0, 2.0, 2.0, 2.0), rounds(2.0, 1.0, 2.0, 2.0)
    turns = Turns([first, other], first, Disturbance(0.0, 0.0))
    assert len(turns.undisturbed(1)) == 0
    value, (low, high) = turns.speedup(1, seed=0)
    assert low <= value <= high
    assert turns.untold(1, seed=0) == "only 0 of 4 rounds were almost as fast as the fastest"


def test_equal_rounds_are_told_exactly() -> None:
    turns = Turns(
        [rounds(2.0, 2.0, 2.0, 2.0), rounds(1.0, 1.0, 1.0, 1.0)],
        rounds(2.0, 2.0, 2.0, 2.0),
        Disturbance(0.0, 0.0),
    )
    assert turns.speedup(1, seed=0) == (2.0, (2.0, 2.0))
    assert turns.untold(1, seed=0) is None
