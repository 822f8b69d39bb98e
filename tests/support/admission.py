"""Requests for jobs, asked of admission: what a test does not care about is filled in."""

from typing import Any

from app.admission.check import check
from tests.support.facts import dataset_facts, model_facts
from tests.support.refusals import refusal
from winnow.contract.dataset import DatasetFacts
from winnow.contract.errors import Problem
from winnow.contract.job import ClosedJob
from winnow.contract.model import ModelFacts

STATIC = {"kind": "int8_static"}
DYNAMIC = {"kind": "int8_dynamic"}
HALF = {"kind": "float16"}
TUNE = {"kind": "finetune"}
DISTIL = {"kind": "distillation"}
QAT = {"kind": "quantization_aware_training"}


def outcome(
    *steps: dict[str, Any],
    model: ModelFacts | None = None,
    dataset: DatasetFacts | None = None,
    others: dict[str, ModelFacts] | None = None,
    augmenting: bool = False,
    **request: Any,
) -> Problem | None:
    """What the job is refused with, None when it may come. The dataset is called `d`."""
    asked = ClosedJob.model_validate({"model": "m", "recipe": {"steps": list(steps) or [HALF]}, **request})
    augmented = {"d"} if augmenting else set()
    facts = {"d": dataset or dataset_facts()}
    return refusal(lambda: check(asked, model or model_facts(), facts, others, augmented))


def refused(*steps: dict[str, Any], **more: Any) -> tuple[str, str | None]:
    problem = outcome(*steps, **more)
    assert problem is not None
    return problem.code, problem.field


def calibration(**use: Any) -> dict[str, Any]:
    return {"calibration": {"dataset": "d", **use}}


def training(**use: Any) -> dict[str, Any]:
    return {"training": {"dataset": "d", **use}}
