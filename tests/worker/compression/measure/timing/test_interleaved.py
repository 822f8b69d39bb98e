"""What can be told of rounds, and that nothing can where each was disturbed."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.graphs import mlp
from worker.compression.measure.network import Network
from worker.compression.measure.timing import interleaved
from worker.compression.measure.timing.disturbance import Disturbance, Watch
from worker.compression.measure.timing.interleaved import SESSIONS, Turns, time_in_turns

CALM = Disturbance(0.0, 0.0)


def rounds(*fastest: float) -> np.ndarray:
    """Ten runs in each round, all equal."""
    return np.repeat(np.array(fastest)[:, None], 10, axis=1)


def test_without_a_round_in_which_both_were_fast_nothing_is_told_and_nothing_breaks() -> None:
    first, other = rounds(1.0, 2.0, 2.0, 2.0), rounds(2.0, 1.0, 2.0, 2.0)
    turns = Turns([first, other], first, CALM)
    assert not turns.undisturbed(1).any()
    value, (low, high) = turns.speedup(1, seed=0)
    assert low <= value <= high
    assert turns.untold(1, seed=0) == "only 0 of 4 rounds were almost as fast as the fastest"


def test_equal_rounds_are_told_exactly() -> None:
    turns = Turns(
        [rounds(2.0, 2.0, 2.0, 2.0), rounds(1.0, 1.0, 1.0, 1.0)],
        rounds(2.0, 2.0, 2.0, 2.0),
        CALM,
    )
    assert turns.speedup(1, seed=0) == (2.0, (2.0, 2.0))
    assert turns.untold(1, seed=0) is None


def test_what_sessions_differ_by_is_in_the_interval() -> None:
    """Three sessions of four rounds; within each all rounds are equal."""
    other = rounds(*np.repeat([1.0, 1.02, 1.04], 4))
    turns = Turns([rounds(*[1.0] * 12), other], rounds(*[1.0] * 12), CALM, np.repeat([0, 1, 2], 4))
    value, (low, high) = turns.speedup(1, seed=0)
    assert value == pytest.approx(1 / 1.02)
    assert (low, high) == pytest.approx((1 / 1.04, 1.0))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The roles of what was loaded again, in order."""
    roles, load = list[str](), Network.load

    def noted(network: Network) -> None:
        roles.append(network.role)
        load(network)

    monkeypatch.setattr(Network, "load", noted)
    return roles


@pytest.mark.parametrize("share", [0.0, np.inf])
def test_all_are_loaded_again_in_turns_in_the_opposite_order_where_there_is_time(
    share: float, loads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(mlp(), path := tmp_path / "model.onnx")
    networks = [Network(path, 1, role) for role in ("a", "b")]
    loads.clear()
    monkeypatch.setattr(interleaved, "LOADING_SHARE", share)
    feed = {spec.name: np.zeros((1, *spec.shape[1:]), np.float32) for spec in networks[0].inputs}
    turns = time_in_turns(networks, [feed, feed], [2, 3], 2 * SESSIONS, Watch(1))
    assert turns.sessions is not None
    if share:
        assert turns.sessions.tolist() == [number // 2 for number in range(2 * SESSIONS)]
        assert "".join(loads) == "baabbaab"
    else:
        assert not loads
        assert not turns.sessions.any()
