"""Holds a graph against a target's rules: which nodes would fall back or be refused there, and why.

Nothing is run. A value whose type or rank is not known breaks no rule; a rule that is not known breaks nothing either.
"""

from collections import Counter
from collections.abc import Collection, Iterator

from winnow.contract.target_rules.findings import MAX_FINDINGS, Finding, TargetCheck
from winnow.contract.target_rules.graph import CheckedGraph, NodeKind
from winnow.contract.target_rules.operator_limits import Broken, broken_limit
from winnow.contract.target_rules.quantization import broken_quantization
from winnow.contract.target_rules.rules import Effect, TargetRules


def check_graph(graph: CheckedGraph, rules: TargetRules, fixed: Collection[str] = ()) -> TargetCheck:
    """`fixed` names dimensions, and inputs with all of theirs, that will have a size before the target sees the
    graph."""
    whole = list(_of_the_whole(graph, rules, fixed))
    reasons = [
        broken_limit(kind, graph.opset, rules) or broken_quantization(kind, rules) for kind in graph.kinds
    ]
    broken = [
        _finding(name, graph.kinds[place], reason, rules)
        for name, place in zip(graph.names, graph.of, strict=True)
        if (reason := reasons[place]) is not None
    ]
    found = [*whole, *broken]
    stopped = any(finding.effect != "slower" for finding in whole)
    refused = any(finding.effect == "refused" for finding in broken)
    return TargetCheck(
        target=rules.name,
        as_of=rules.as_of,
        runs=not stopped and not refused and (len(broken) < len(graph.names) or not graph.names),
        nodes=len(graph.names),
        taken=len(graph.names) - len(broken),
        findings=found[:MAX_FINDINGS],
        more=max(0, len(found) - MAX_FINDINGS),
        by_operator=dict(Counter(str(finding.operator) for finding in broken).most_common()),
        unchecked=_unchecked(graph, rules),
        unknown=rules.unknown,
    )


def _of_the_whole(graph: CheckedGraph, rules: TargetRules, fixed: Collection[str]) -> Iterator[Finding]:
    """Its inputs and its opset."""
    if rules.shapes is not None:
        varying = {
            value.name: names
            for value in graph.open_inputs
            if value.name not in fixed and (names := [name for name in value.dimensions if name not in fixed])
        }
        if varying:
            listed = "; ".join(f"{name!r} leaves {', '.join(sizes)} open" for name, sizes in varying.items())
            why = f"{rules.shapes.says} Here {listed}."
            yield _whole(rules.shapes.effect, "shapes", why, rules.shapes.source)
    known = rules.opsets
    if known is not None and not known.first <= graph.opset <= known.last:
        why = f"{known.says} The model has opset {graph.opset}."
        yield _whole(rules.otherwise.effect, "opsets", why, known.source)


def _whole(effect: Effect, rule: str, why: str, source: str) -> Finding:
    return Finding(node=None, operator=None, effect=effect, rule=rule, why=why, source=source)


def _finding(name: str, kind: NodeKind, reason: Broken, rules: TargetRules) -> Finding:
    return Finding(
        node=name,
        operator=kind.operator,
        effect=rules.otherwise.effect,
        rule=reason.rule,
        why=reason.why,
        source=reason.source,
    )


def _unchecked(graph: CheckedGraph, rules: TargetRules) -> list[str]:
    """Limits that no rule can look at, of the operators that are there."""
    taken = rules.operators.taken if rules.operators is not None else None
    there = sorted({kind.operator for kind in graph.kinds})
    limits = [
        f"{name}: {rule.unchecked}" for name in there if (rule := (taken or {}).get(name)) and rule.unchecked
    ]
    return limits + [f"{name}: defined by the file itself, not looked into" for name in graph.functions]
