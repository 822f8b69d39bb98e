from pathlib import Path

import onnx_ir as ir
import pytest

from tests.support.graphs import cnn
from winnow.contract.recipe import NoOp
from worker.compression import no_op as technique
from worker.compression.no_op import no_op
from worker.compression.progress import Silent
from worker.compression.steps.context import Context


class Told(Silent):
    def __init__(self) -> None:
        self.fractions: list[float] = []

    def advance(self, fraction: float) -> None:
        self.fractions.append(fraction)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its last is the time that it is; sleeping lets it pass."""
    times = [100.0]
    monkeypatch.setattr(technique.time, "monotonic", lambda: times[-1])
    monkeypatch.setattr(technique.time, "sleep", lambda seconds: times.append(times[-1] + seconds))
    return times


@pytest.mark.parametrize("seconds", [0.0, 0.25, 5.0])
def test_the_step_takes_its_time_says_so_and_changes_nothing(
    tmp_path: Path, clock: list[float], seconds: float
) -> None:
    model, progress = ir.from_proto(cnn()), Told()
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    result = no_op(model, NoOp(kind="no_op", seconds=seconds), Context(tmp_path, 0, progress))
    assert clock[-1] == 100.0 + seconds
    assert ir.to_proto(result.model).SerializeToString(deterministic=True) == before
    assert (result.changed, result.candidates) == (0, 0)
    assert progress.fractions == sorted(progress.fractions)
    assert all(0 <= fraction < 1 for fraction in progress.fractions)
