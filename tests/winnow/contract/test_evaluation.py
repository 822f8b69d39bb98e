"""What an evaluation may say, and what of it is filled in."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from winnow.contract.decoding import Decode
from winnow.contract.evaluation import ERRORS, TASK_DECODES, TASK_METRICS, Evaluation, Metric, Task
from winnow.contract.job import JobRequest
from winnow.contract.needed_data import measured


@pytest.mark.parametrize(
    ("metric", "task"),
    [
        ("top1", "classification"),
        ("precision", "classification"),
        ("mse", "regression"),
        ("map50", "detection"),
    ],
)
def test_a_metric_alone_says_its_task_as_ever(metric: Metric, task: Task) -> None:
    evaluation = Evaluation(metric=metric)
    assert (evaluation.named_task, evaluation.metrics) == (task, (metric,))


def test_every_metric_and_every_decoder_belongs_to_a_task() -> None:
    assert {metric for metrics in TASK_METRICS.values() for metric in metrics} == set(get_args(Metric))
    assert set(get_args(Metric)) > ERRORS
    kinds = {get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(Decode)}
    assert {kind for of_task in TASK_DECODES.values() for kind in of_task} == kinds
    assert TASK_METRICS.keys() == TASK_DECODES.keys() == set(get_args(Task))
    for task, metrics in TASK_METRICS.items():
        assert Evaluation(task=task, also=list(metrics)).metrics == metrics
        assert metrics[-1] == "agreement"


def test_a_decoder_says_the_task_too() -> None:
    evaluation = Evaluation.model_validate({"metric": "agreement", "decode": {"kind": "yolox"}})
    assert evaluation.named_task == "detection"
    assert Evaluation(metric="agreement").named_task is None


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "name a task or a metric"),
        ({"metric": "map", "task": "classification"}, "measured by top1"),
        ({"task": "detection", "also": ["top1"]}, "not by top1"),
        ({"task": "regression", "decode": {"kind": "classes"}}, "outputs are taken as they are"),
        ({"task": "detection", "decode": {"kind": "yolo"}}, "yolo"),
        ({"task": "detection", "decode": {"kind": "yolox", "nms": 2}}, "less than or equal to 1"),
    ],
)
def test_what_does_not_go_together_is_refused(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Evaluation.model_validate(asked)


def test_what_is_required_is_measured_too() -> None:
    request = JobRequest.model_validate(
        {
            "model": "m",
            "recipe": {"steps": [{"kind": "float16"}]},
            "evaluation": {"metric": "top1", "also": ["ece"]},
            "require": {"min_agreement": 0.9, "metrics": {"f1": {"min": 0.5}, "top1": {"max_drop": 0.1}}},
        }
    )
    evaluation = measured(request)
    assert evaluation is not None
    assert evaluation.metrics == ("top1", "ece", "f1", "agreement")
    assert measured(request.model_copy(update={"evaluation": None})) is None
