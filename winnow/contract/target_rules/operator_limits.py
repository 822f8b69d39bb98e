"""Limits of operators: which are taken, in which versions, with which attributes, types and constants."""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from winnow.contract.target_rules.graph import NodeKind
from winnow.contract.target_rules.rules import OperatorRule, Operators, TargetRules

STANDARD: Final = "ai.onnx"
SPATIAL_BY_KERNEL: Final = frozenset({"AveragePool", "MaxPool", "LpPool", "Conv", "ConvTranspose"})
SPATIAL_BY_WEIGHT: Final = frozenset({"Conv", "ConvTranspose"})


class Broken(NamedTuple):
    """Which rule a node breaks, how, and where that is said."""

    rule: str
    why: str
    source: str


def broken_limit(kind: NodeKind, opset: int, rules: TargetRules) -> Broken | None:
    """The first limit of its operator that a node breaks."""
    known = rules.operators
    if known is None:
        return None
    domain, _, _ = kind.operator.rpartition(".")
    if known.domains is not None and (domain or STANDARD) not in known.domains:
        return Broken("domains", f"{known.says} {kind.operator} is none of them.", known.source)
    if known.taken is None:
        return None
    if (rule := known.taken.get(kind.operator)) is None:
        return Broken(
            "operators", f"{kind.operator} is not among the operators that are taken.", known.source
        )
    for limit in LIMITS:
        if (why := limit(kind, opset, rule, known)) is not None:
            return Broken("operators", f"{kind.operator} {why}.", rule.source or known.source)
    return None


def takes(rules: TargetRules, operators: Iterable[str]) -> bool:
    """Whether the target takes all of these in some form, as far as that is known."""
    taken = None if rules.operators is None else rules.operators.taken
    return taken is None or all(operator in taken for operator in operators)


def _opset(kind: NodeKind, opset: int, rule: OperatorRule, known: Operators) -> str | None:
    if "." in kind.operator:
        return None  # of another domain, with versions of its own
    if rule.first_opset is not None and opset < rule.first_opset:
        return f"is taken from opset {rule.first_opset} on, the model has {opset}"
    if rule.last_opset is not None and opset > rule.last_opset:
        return f"is taken up to opset {rule.last_opset}, the model has {opset}"
    return None


def _spatial(kind: NodeKind, opset: int, rule: OperatorRule, known: Operators) -> str | None:
    found = spatial_dimensions(kind)
    if rule.spatial is None or found is None or found in rule.spatial:
        return None
    return f"is taken in {_either(f'{n}D' for n in rule.spatial)}, this one is {found}D"


def _rank(kind: NodeKind, opset: int, rule: OperatorRule, known: Operators) -> str | None:
    found = kind.input_at(0)
    if rule.rank is None or found is None or found.rank is None or found.rank in rule.rank:
        return None
    return f"takes {_either(map(str, rule.rank))} dimensions, this input has {found.rank}"


def _constant(kind: NodeKind, opset: int, rule: OperatorRule, known: Operators) -> str | None:
    enough = ("stored", "dequantized") if known.dequantized_constants else ("stored",)
    for index in rule.constant:
        value = kind.input_at(index)
        if value is not None and value.constant not in enough:
            behind = ", it comes from a DequantizeLinear" if value.constant == "dequantized" else ""
            return f"needs a constant as input {index}{behind}"
    return None


def _attributes(kind: NodeKind, opset: int, rule: OperatorRule, known: Operators) -> str | None:
    for name, limit in rule.attributes.items():
        found = kind.attributes.get(name, limit.default)
        if found is None:
            continue
        values = found if isinstance(found, list) else [found]
        wrong = [value for value in values if value not in limit.one_of]
        if wrong:
            return f"takes {name} = {_either(map(str, limit.one_of))}, this one has {found}"
    return None


def _types(kind: NodeKind, opset: int, rule: OperatorRule, known: Operators) -> str | None:
    for index, types in rule.types.items():
        value = kind.input_at(index)
        if value is not None and value.dtype is not None and value.dtype not in types:
            return f"takes {_either(types)} as input {index}, this one is {value.dtype}"
    return None


def _outputs(kind: NodeKind, opset: int, rule: OperatorRule, known: Operators) -> str | None:
    if rule.outputs is None or not any(kind.outputs[rule.outputs :]):
        return None
    return f"has {rule.outputs} output{'s' if rule.outputs > 1 else ''} there, this one uses more"


Limit = Callable[[NodeKind, int, OperatorRule, Operators], str | None]
LIMITS: Final[tuple[Limit, ...]] = (_opset, _spatial, _rank, _types, _constant, _attributes, _outputs)


def spatial_dimensions(kind: NodeKind) -> int | None:
    """Read off its kernel, its weight, or what it reads; None where none of these is known."""
    kernel = kind.attributes.get("kernel_shape")
    if kind.operator in SPATIAL_BY_KERNEL and isinstance(kernel, list):
        return len(kernel)
    for index in (1, 0) if kind.operator in SPATIAL_BY_WEIGHT else (0,):
        value = kind.input_at(index)
        if value is not None and value.rank is not None:
            return value.rank - 2
    return None


def _either(words: Iterable[str]) -> str:
    listed = [*words]
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} or {listed[-1]}"
