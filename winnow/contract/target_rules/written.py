"""Operators that steps of quantization write, against those that a target takes."""

from collections.abc import Mapping
from typing import Final

from winnow.contract.target import CheckedTarget
from winnow.contract.target_rules.load import rules_of
from winnow.contract.target_rules.operator_limits import takes

Form = tuple[str, ...]

STATIC: Final[Form] = ("QuantizeLinear", "DequantizeLinear")
DYNAMIC: Final[Form] = ("DynamicQuantizeLinear", "MatMulInteger")
PRODUCTS: Final[Form] = ("com.microsoft.MatMulNBits",)
WEIGHTS: Final[Form] = ("DequantizeLinear",)

FORMS: Final[Mapping[str, tuple[Form, ...]]] = {
    "int8": (STATIC, DYNAMIC),
    "int8_static": (STATIC,),
    "int8_dynamic": (DYNAMIC,),
    "mixed_precision": (STATIC,),
    "weight_only": (PRODUCTS, WEIGHTS),
}
"""Kind of step → what it may write: all operators of one form at least."""


def not_taken(kind: str, target: CheckedTarget | None) -> str | None:
    """Say in a clause which operators the target lacks for all that a step of this kind may write; None where it takes
    one form, and where nothing is known."""
    forms = FORMS.get(kind, ())
    if target is None or not forms:
        return None
    rules = rules_of(target)
    if rules.operators is None or any(takes(rules, form) for form in forms):
        return None
    lacking = dict.fromkeys(op for form in forms for op in form if not takes(rules, [op]))
    return f"{target} takes no {', '.join(lacking)} ({rules.operators.source})"
