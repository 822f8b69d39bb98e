"""Operators that steps of quantization write, against those that a target takes."""

from collections.abc import Mapping
from typing import Final

from winnow.contract.target import CheckedTarget
from winnow.contract.target_rules.load import rules_of
from winnow.contract.target_rules.operator_limits import takes
from winnow.contract.target_rules.rules import TargetRules

Form = tuple[str, ...]

STATIC: Final[Form] = ("QuantizeLinear", "DequantizeLinear")
DYNAMIC: Final[Form] = ("DynamicQuantizeLinear", "MatMulInteger")

FORMS: Final[Mapping[str, tuple[Form, ...]]] = {
    "int8": (STATIC, DYNAMIC),
    "int8_static": (STATIC,),
    "int8_dynamic": (DYNAMIC,),
    "mixed_precision": (STATIC,),
}
"""Kind of step → what it may write: all operators of one form at least."""
WEIGHTS: Final[Mapping[str, str]] = {
    "MatMul": "com.microsoft.MatMulNBits",
    "Gemm": "com.microsoft.MatMulNBits",
    "Gather": "com.microsoft.GatherBlockQuantized",
    "Conv": "DequantizeLinear",
}
"""What `weight_only` writes for the reader of a weight: the operator that reads the bits."""
UNPACKING: Final[Form] = ("BitwiseAnd", "BitShift", "BitwiseOr")
"""In front of it, where the file holds planes."""


def not_taken(kind: str, target: CheckedTarget | None) -> str | None:
    """Say in a clause which operators the target lacks for all that a step of this kind may write; None where it takes
    one form, and where nothing is known."""
    forms = FORMS.get(kind, ())
    if target is not None and kind == "weight_only":
        reasons = [weight_not_taken(reader, bits, target) for reader in WEIGHTS for bits in (8, 4)]
        return None if None in reasons else "; ".join(dict.fromkeys(filter(None, reasons)))
    if target is None or not forms:
        return None
    rules = rules_of(target)
    if rules.operators is None or any(takes(rules, form) for form in forms):
        return None
    lacking = dict.fromkeys(op for form in forms for op in form if not takes(rules, [op]))
    return f"{target} takes no {', '.join(lacking)} ({rules.operators.source})"


def weight_not_taken(
    reader: str, bits: int, target: CheckedTarget | None, *, planes: bool = False
) -> str | None:
    """Say in a clause why the target does not take what `weight_only` writes for a weight in so many bits that an
    operator reads, in `planes` where no type has so few; None where it does, and where nothing is known."""
    if target is None:
        return None
    rules = rules_of(target)
    operators = (WEIGHTS[reader], *(UNPACKING if planes else ()))
    if rules.operators is not None and (lacking := [op for op in operators if not takes(rules, [op])]):
        return f"{target} takes no {', '.join(lacking)} ({rules.operators.source})"
    return (
        _integers_not_taken("uint8" if bits == 8 or planes else "uint4", rules) if reader == "Conv" else None
    )


def _integers_not_taken(dtype: str, rules: TargetRules) -> str | None:
    """Of a DequantizeLinear in blocks, which a Reshape reads."""
    weights, channels = rules.weights, rules.per_channel
    if weights is not None:
        if dtype not in weights.types_of.get("Reshape", weights.types):
            return f"{rules.name} takes no weights of {dtype} ({weights.source})"
        if weights.zero_points == "zero":
            return f"{rules.name} takes no weights with zero points ({weights.source})"
    if channels is not None and channels.axes is not None and "Reshape" not in channels.axes:
        return f"{rules.name} takes no scales for blocks of weights ({channels.source})"
    return None
