"""Limits of quantization: QuantizeLinear and DequantizeLinear by what their integers stand for.

QuantizeLinear                        an activation
DequantizeLinear of what is computed  an activation
DequantizeLinear of stored int32      a bias
DequantizeLinear of other constants   a weight
"""

from typing import Final

from winnow.contract.target_rules.graph import NodeInput, NodeKind
from winnow.contract.target_rules.onnx_messages import DTYPES
from winnow.contract.target_rules.operator_limits import Broken
from winnow.contract.target_rules.rules import TargetRules

QUANTIZE: Final = frozenset({"QuantizeLinear", "com.microsoft.QuantizeLinear"})
DEQUANTIZE: Final = frozenset({"DequantizeLinear", "com.microsoft.DequantizeLinear"})
BIAS: Final = "int32"
SIXTEEN_BITS: Final = frozenset({"uint16", "int16"})
DEFAULT_AXIS: Final = 1
ONNX_DEFAULT: Final = "uint8"
"""What QuantizeLinear makes without a zero point and `output_dtype`."""


def broken_quantization(kind: NodeKind, rules: TargetRules) -> Broken | None:
    if kind.operator in QUANTIZE:
        return _activation(_zero_point_type(kind), kind, rules)
    if kind.operator not in DEQUANTIZE or not kind.inputs or kind.inputs[0] is None:
        return None
    integers = kind.inputs[0]
    if integers.constant == "no":
        return _activation(integers.dtype or _given_type(kind), kind, rules)
    if integers.dtype == BIAS:
        return _bias(rules)
    return _weight(integers, kind, rules)


def _activation(dtype: str | None, kind: NodeKind, rules: TargetRules) -> Broken | None:
    sixteen, known = rules.sixteen_bit, rules.activations
    if sixteen is not None and not sixteen.taken and dtype in SIXTEEN_BITS:
        return Broken("sixteen_bit", f"{sixteen.says} This one is {dtype}.", sixteen.source)
    if known is None:
        return None
    if dtype is not None and dtype not in known.types:
        return Broken("activations", f"{known.says} This one is {dtype}.", known.source)
    if known.zero_points == "zero" and _zero(kind) is False:
        return Broken("activations", f"{known.says} This zero point is not 0.", known.source)
    if known.per_channel is False and _scales(kind) > 1:
        return Broken("activations", f"{known.says} This one has {_scales(kind)} scales.", known.source)
    return None


def _bias(rules: TargetRules) -> Broken | None:
    known = rules.bias
    if known is None or BIAS in known.types:
        return None
    return Broken("bias", f"{known.says} This one is {BIAS}.", known.source)


def _weight(integers: NodeInput, kind: NodeKind, rules: TargetRules) -> Broken | None:
    known = rules.weights
    if known is not None and integers.dtype is not None:
        for reader in kind.readers:
            types = known.types_of.get(reader, known.types)
            if integers.dtype not in types:
                return Broken("weights", f"{known.says} A {reader} reads {integers.dtype}.", known.source)
    if known is not None and known.zero_points == "zero" and _zero(kind) is False:
        return Broken("weights", f"{known.says} This zero point is not 0.", known.source)
    return _channels(integers, kind, rules)


def _channels(integers: NodeInput, kind: NodeKind, rules: TargetRules) -> Broken | None:
    known = rules.per_channel
    if known is None or known.axes is None or _scales(kind) <= 1:
        return None
    axis = kind.attributes.get("axis", DEFAULT_AXIS)
    if isinstance(axis, int) and axis < 0 and integers.rank is not None:
        axis += integers.rank
    for reader in kind.readers:
        if reader not in known.axes:
            why = f"{known.says} This weight of a {reader} has {_scales(kind)} scales."
            return Broken("per_channel", why, known.source)
        if known.axes[reader] != axis:
            why = f"{known.says} This weight of a {reader} has scales along axis {axis}."
            return Broken("per_channel", why, known.source)
    return None


def _zero_point_type(kind: NodeKind) -> str | None:
    """Of a QuantizeLinear, the type of what it makes."""
    point, wanted = kind.input_at(2), kind.attributes.get("output_dtype")
    if point is not None:
        return point.dtype
    return DTYPES.get(wanted) if isinstance(wanted, int) and wanted else ONNX_DEFAULT


def _given_type(kind: NodeKind) -> str | None:
    point = kind.input_at(2)
    return None if point is None else point.dtype


def _zero(kind: NodeKind) -> bool | None:
    """Whether its zero point is 0, as one that is left out is; None where that is not known."""
    point = kind.input_at(2)
    return True if point is None else point.zero


def _scales(kind: NodeKind) -> int:
    scale = kind.input_at(1)
    return 1 if scale is None or scale.size is None else scale.size
