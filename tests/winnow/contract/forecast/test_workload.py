"""How much there is to do in each part of a job."""

from typing import Any

import pytest

from tests.support.facts import dataset_facts, model_facts
from winnow.contract.forecast.workload import MEASURE, Workload, workloads
from winnow.contract.job import JobRequest


def parts(*steps: dict[str, Any], **data: Any) -> list[Workload]:
    request = JobRequest.model_validate({"model": "m", "recipe": {"steps": steps}, "data": data})
    return workloads(request, model_facts(), {"d": dataset_facts()})


def use(*rows: int) -> dict[str, Any]:
    return {"dataset": "d", "slice": list(rows)}


def test_every_step_is_a_part_and_so_is_measuring() -> None:
    told = parts({"kind": "float16"}, {"kind": "sparsity", "criterion": "magnitude"})
    assert [part.kind for part in told] == ["float16", "sparsity", MEASURE]
    assert {part.operators for part in told} == {"Conv,Gemm"}
    assert {(part.macs, part.parameters) for part in told} == {(100_000, 1000)}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"kind": "int8_static", "samples": 300}, (256, 1)),
        ({"kind": "int8_static", "samples": 64}, (64, 1)),
        ({"kind": "weight_only", "method": "hqq"}, (0, 1)),
        ({"kind": "weight_only", "method": "gptq"}, (256, 1)),
        ({"kind": "channel_pruning", "rounds": 4}, (256, 4)),
        ({"kind": "finetune", "epochs": 7}, (512, 7)),
        ({"kind": "finetune", "steps": 100, "batch_size": 64}, (512, 12.5)),
    ],
)
def test_samples_go_through_the_model_as_often_as_the_step_says(
    step: dict[str, Any], expected: tuple[int, float]
) -> None:
    first = parts(step, calibration=use(0, 256), training=use(256, 768), evaluation=use(768, 1024))[0]
    assert (first.samples, first.epochs) == expected


def test_training_between_rounds_is_another_kind_of_work() -> None:
    step = {"kind": "channel_pruning", "rounds": 3, "recovery": {"kind": "finetune", "epochs": 2}}
    first = parts(step, training=use(0, 100))[0]
    assert (first.kind, first.samples, first.epochs) == ("channel_pruning+finetune", 100, 4)


def test_one_dataset_is_split() -> None:
    told = parts({"kind": "int8_static", "samples": 100_000}, dataset="d")
    assert [part.samples for part in told] == [512, 256]


def test_a_slice_beyond_the_data_counts_what_there_is() -> None:
    assert parts({"kind": "float16"}, evaluation=use(1000, 9000))[-1].samples == 24
