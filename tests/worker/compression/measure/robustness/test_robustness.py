"""What the timing says of noise, the judged rows of who used them; and that no fact costs a job."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.graphs import mlp
from winnow.contract.job import Benchmark
from winnow.contract.report import Quality
from winnow.contract.robustness import sentences
from worker.compression.measure.network import Network
from worker.compression.measure.robustness import robustness as facts
from worker.compression.measure.robustness.dependence import NotMeasured
from worker.compression.measure.robustness.noise import noise_of, spread
from worker.compression.measure.robustness.robustness import measure_robustness
from worker.compression.measure.robustness.unseen import UnseenRows, measure_unseen

QUALITY = Quality(
    metric="top1", output="y", samples=50, before=0.9, after=0.88, before_interval=(0.8, 0.95),
    after_interval=(0.8, 0.95), drop=0.02, drop_interval=(-0.01, 0.05), held_out=True,
)  # fmt: skip


def test_the_spread_is_half_of_the_middle_90_percent() -> None:
    assert spread([1.0] * 9) == 0
    assert spread(list(np.linspace(0.9, 1.1, 101))) == pytest.approx(0.09)


def test_without_a_timing_nothing_is_said_of_noise() -> None:
    assert (noise_of([]).told_from, noise_of([]).says) == (None, "Nothing was timed.")


@pytest.mark.parametrize(("split", "part"), [(False, "evaluation"), (True, "final")])
def test_rows_that_no_step_used_are_those_that_judge(split: bool, part: str) -> None:
    unseen = measure_unseen([QUALITY], UnseenRows(split, overlap=False))
    assert (unseen.part, unseen.samples, unseen.drop) == (part, 50, 0.02)
    assert "from 90.00 % to 88.00 %: worse by 2.00 % [-1.00, 5.00]" in unseen.says


def test_where_steps_used_some_what_remains_is_judged_and_where_they_used_all_it_says_so() -> None:
    remaining = QUALITY.model_copy(update={"samples": 7})
    unseen = measure_unseen([QUALITY], UnseenRows(False, overlap=True, judge=lambda: [remaining]))
    assert (unseen.part, unseen.samples) == ("remaining", 7)
    with pytest.raises(NotMeasured, match="Every evaluation row"):
        measure_unseen([QUALITY], UnseenRows(False, overlap=True))
    with pytest.raises(NotMeasured, match="No quality was judged"):
        measure_unseen([], UnseenRows(False, overlap=False))


def test_a_fact_that_breaks_says_so_and_the_others_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(facts, "measure_neighbours", breaks)
    onnx.save(mlp(), tmp_path / "a.onnx")
    networks = tuple(Network(tmp_path / "a.onnx", 1, "it") for _ in range(2))
    made = measure_robustness(
        networks, tmp_path / "a.onnx", None, "random", latency=[], quality=[],
        unseen=UnseenRows(False, overlap=False), benchmark=Benchmark(), seed=0,
    )  # fmt: skip
    said = dict(sentences(made))
    assert said["Neighbours"] == "It could not be measured (ZeroDivisionError)."
    assert said["Padding"] == "Without data nothing is padded."
    assert "no layer multiplies uint8 by int8" in said["CPUs without VNNI"]
    assert said["Noise"] == "Nothing was timed."
    assert "No quality was judged" in said["Unseen data"]
