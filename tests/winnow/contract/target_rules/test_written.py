"""What steps write is held against what a target takes."""

from typing import get_args

import pytest

from winnow.contract.recipe import AnyStep
from winnow.contract.target import CheckedTarget
from winnow.contract.target_rules.written import FORMS, not_taken


def test_forms_are_of_kinds_that_there_are() -> None:
    kinds = {get_args(step.model_fields["kind"].annotation)[0] for step in get_args(get_args(AnyStep)[0])}
    assert FORMS.keys() <= kinds


@pytest.mark.parametrize(
    ("kind", "target", "lacking"),
    [
        ("int8", "tensorrt", None),
        ("int8", "coreml", "QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear, MatMulInteger"),
        ("int8_static", "webgpu", "QuantizeLinear"),
        ("int8_dynamic", "qnn", "DynamicQuantizeLinear, MatMulInteger"),
        ("weight_only", "qnn", None),
        ("float16", "coreml", None),
        ("int8", None, None),
    ],
)
def test_a_step_is_not_taken_where_no_form_of_it_is(
    kind: str, target: CheckedTarget | None, lacking: str | None
) -> None:
    why = not_taken(kind, target)
    assert (why is None) == (lacking is None)
    if lacking is not None:
        assert f"{target} takes no {lacking} (https://" in (why or "")
