"""Every step refuses, with its code, what gives it nothing to do, what was done already, and work without its data."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.graphs import node
from tests.support.refusals import refusal
from tests.support.small_nets import digits_net, digits_samples, model_of, samples
from winnow.contract.errors import Problem
from winnow.contract.recipe import AnyStep, Recipe
from worker.compression.apply import apply
from worker.compression.data.samples import Samples
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.progress import Silent
from worker.compression.steps.context import Context

NEED_DATA = ("int8", "int8_static", "mixed_precision")


def without_weights(operator: str = "Relu") -> ir.Model:
    """MatMul multiplies what it is given by itself: two values, no weight."""
    inputs = "x" if operator == "Relu" else "x x"
    return model_of([node(operator, inputs, "y", "only")], {"x": ["N", 4]}, {"y": ["N", 4]}, {})


def done(net: ir.Model, step: AnyStep, folder: Path, data: Samples | None) -> ir.Model:
    folder.mkdir()
    return apply(net, step, Context(folder, 0, Silent(), data)).model


def refused(net: ir.Model, step: AnyStep, folder: Path, data: Samples | None) -> Problem:
    problem = refusal(lambda: done(net, step, folder, data))
    assert problem is not None
    return problem


def step_of(kind: str, **settings: Any) -> AnyStep:
    return Recipe.model_validate({"steps": [{"kind": kind, **settings}]}).steps[0]


@pytest.mark.parametrize(
    ("step", "operator", "detail"),
    [
        (step_of("int8"), "Relu", ""),
        (step_of("int8_static"), "Relu", "1 × Relu"),
        (step_of("int8_dynamic"), "Relu", "Relu"),
        (step_of("int8_dynamic"), "MatMul", "MatMul"),
        (step_of("mixed_precision", max_size_ratio=0.5), "Relu", ""),
        (step_of("weight_only"), "Relu", "Relu"),
        (step_of("palette"), "Relu", ""),
        (step_of("binary"), "Relu", ""),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_a_net_without_weights(step: AnyStep, operator: str, detail: str, tmp_path: Path) -> None:
    net = without_weights(operator)
    data = samples(tmp_path, net, x=np.zeros((9, 4), np.float32)) if step.kind in NEED_DATA else None
    problem = refused(net, step, tmp_path / "step", data)
    assert problem.code == "nothing_to_quantize"
    assert detail in problem.detail


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (step_of("float16"), "nothing_to_quantize"),
        (step_of("bfloat16"), "nothing_to_quantize"),
        (step_of("int8", prefer="quality"), "already_quantized"),
        (step_of("int8_static", samples=16), "already_quantized"),
        (step_of("int8_dynamic"), "already_quantized"),
        (step_of("weight_only"), "already_quantized"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_what_it_has_done_already(step: AnyStep, code: str, tmp_path: Path) -> None:
    data = digits_samples(tmp_path) if step.kind in NEED_DATA else None
    made = done(digits_net(), step, tmp_path / "first", data)
    assert refused(normalise(made), step, tmp_path / "second", data).code == code


@pytest.mark.parametrize(
    "step",
    [step_of("int8_static"), step_of("weight_only", method="gptq"), step_of("low_rank", data_aware=True)],
    ids=lambda step: step.kind,
)
def test_no_data_where_it_needs_them(step: AnyStep, tmp_path: Path) -> None:
    assert refused(digits_net(), step, tmp_path / "step", None).code == "missing_data"
