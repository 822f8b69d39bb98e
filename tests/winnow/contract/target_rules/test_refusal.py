"""What is refused at the door of a target of rules: steps whose operators it does not take, sizes that stay open."""

import pytest

from tests.support.refusals import refusal
from winnow.contract.open_steps import AnyOf, OpenStep, opened
from winnow.contract.recipe import AnyStep, Int8, Int8Dynamic, Int8Static, Simplify
from winnow.contract.target import CheckedTarget
from winnow.contract.target_rules.refusal import fixed_dimensions, refuse_what_is_not_taken

STATIC, DYNAMIC = Int8Static(kind="int8_static"), Int8Dynamic(kind="int8_dynamic")


@pytest.mark.parametrize(
    ("target", "step", "lacking"),
    [
        ("coreml", STATIC, "coreml takes no QuantizeLinear, DequantizeLinear (https://"),
        ("webgpu", STATIC, "webgpu takes no QuantizeLinear (https://"),
        ("qnn", DYNAMIC, "qnn takes no DynamicQuantizeLinear, MatMulInteger (https://"),
    ],
)
def test_a_step_that_writes_only_what_the_target_does_not_take_is_refused(
    target: CheckedTarget, step: AnyStep, lacking: str
) -> None:
    told = refusal(lambda: refuse_what_is_not_taken(target, [Simplify(kind="simplify"), step]))
    assert told is not None
    assert (told.code, told.field) == ("target_cannot_run", "recipe.steps.1")
    assert told.detail.startswith(lacking)


def test_what_writes_nothing_there_or_may_be_left_out_is_none_of_them() -> None:
    refuse_what_is_not_taken("qnn", [STATIC])
    refuse_what_is_not_taken("coreml", [Int8(kind="int8")])
    refuse_what_is_not_taken("onnxruntime-cpu", [STATIC, DYNAMIC])
    optional = opened(Int8Static, OpenStep)(kind="int8_static", optional=True)
    refuse_what_is_not_taken("coreml", [optional])


def test_sizes_that_a_search_may_fix_count_as_fixed() -> None:
    chosen = opened(Simplify, OpenStep)(
        kind="simplify", fix_shapes=AnyOf(any_of=[{"batch": 1}, {"x": [1, 3]}])
    )
    assert fixed_dimensions([chosen]) == {"batch", "x"}
    assert fixed_dimensions([Simplify(kind="simplify", fix_shapes={"N": 1}), STATIC]) == {"N"}
