from pathlib import Path

import pytest

from tests.support.graphs import mlp
from tests.worker.compression.measure.test_compare import QUICK, samples, saved
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from worker.compression.measure.baseline import check_baseline


def test_what_cannot_be_judged_is_refused_before_any_work(tmp_path: Path) -> None:
    path = saved(mlp(), tmp_path / "a.onnx")
    given = {
        "evaluation": samples(tmp_path),
        "calibration": None,
        "metric": None,
        "benchmark": QUICK,
        "seed": 0,
    }
    check_baseline(path, **given)
    fewer = samples(tmp_path, classes=40)
    for change, code in [
        ({"metric": Evaluation(metric="top1", output="nonsense")}, "unknown_output"),
        ({"metric": Evaluation(metric="top1"), "evaluation": None}, "missing_data"),
        ({"metric": Evaluation(metric="top1"), "evaluation": fewer}, "labels_do_not_fit"),
        ({"benchmark": Benchmark(shapes={"nonsense": [1]})}, "unknown_input"),
    ]:
        with pytest.raises(Refusal) as refused:
            check_baseline(path, **(given | change))
        assert refused.value.problem.code == code


def test_a_file_that_is_no_model_is_refused_without_telling_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("<html>")
    with pytest.raises(Refusal) as refused:
        check_baseline(tmp_path / "a.onnx", None, None, metric=None, benchmark=QUICK, seed=0)
    assert refused.value.problem.code == "model_does_not_run"
    assert str(tmp_path) not in refused.value.problem.detail
