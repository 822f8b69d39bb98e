"""What steps write is held against what a target takes."""

from typing import get_args

import pytest

from winnow.contract.recipe import AnyStep
from winnow.contract.target import CheckedTarget
from winnow.contract.target_rules.written import FORMS, not_taken, weight_not_taken


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
        ("weight_only", "webgpu", None),
        ("weight_only", "tensorrt", "com.microsoft.MatMulNBits"),
        ("weight_only", "qnn", "com.microsoft.MatMulNBits"),
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


@pytest.mark.parametrize(
    ("reader", "bits", "target", "lacking"),
    [
        ("MatMul", 4, "webgpu", None),
        ("Gather", 8, "webgpu", None),
        ("Conv", 4, "webgpu", None),
        ("MatMul", 4, "qnn", "takes no com.microsoft.MatMulNBits"),
        ("Gather", 4, "tensorrt", "takes no com.microsoft.GatherBlockQuantized"),
        ("Conv", 8, "tensorrt", "takes no weights of uint8"),
        ("Conv", 4, "qnn", "takes no weights of uint4"),
        ("Conv", 8, "qnn", "takes no scales for blocks"),
        ("Conv", 8, None, None),
    ],
)
def test_a_weight_of_few_bits_is_taken_by_what_reads_it(
    reader: str, bits: int, target: CheckedTarget | None, lacking: str | None
) -> None:
    why = weight_not_taken(reader, bits, target)
    assert (why is None) == (lacking is None)
    assert (lacking or "") in (why or "")


def test_planes_are_taken_where_all_that_unpacks_them_is() -> None:
    why = weight_not_taken("MatMul", 3, "webgpu", planes=True)
    assert why is not None
    assert why.startswith("webgpu takes no BitwiseAnd, BitShift, BitwiseOr (https://")
