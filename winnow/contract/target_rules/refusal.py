"""When rules say that a target cannot run a model at all: refused, with the nodes."""

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from winnow.contract.errors import Refusal
from winnow.contract.target import JobTarget, checked_by_rules
from winnow.contract.target_rules.check import check_graph
from winnow.contract.target_rules.findings import MAX_NAMED, TargetCheck
from winnow.contract.target_rules.graph import CheckedGraph
from winnow.contract.target_rules.load import rules_of

ADVICE: Final = {
    "shapes": "Export the model with fixed sizes, or fix them before "
    "(python -m onnxruntime.tools.make_dynamic_shape_fixed), or ask for another target.",
    "opsets": "Export the model with an opset in between, or ask for another target.",
}
OTHERWISE: Final = "Export the model without these operators or forms, or ask for another target."


def refuse_what_cannot_run(target: JobTarget, graph: CheckedGraph | None, steps: Iterable[object]) -> None:
    """Raise `target_cannot_run` where the target is checked by rules and can run none of the graph, or refuses it.

    `steps` may give sizes to dimensions that vary. A graph that is not known is not judged.
    """
    name = checked_by_rules(target)
    if name is None or graph is None:
        return
    check = check_graph(graph, rules_of(name), fixed_dimensions(steps))
    if not check.runs:
        raise cannot_run(check)


def fixed_dimensions(steps: Iterable[object]) -> frozenset[str]:
    """Names of dimensions, and of whole inputs, that steps of a recipe give a size (`fix_shapes`)."""
    sizes: list[Any] = [getattr(step, "fix_shapes", None) for step in steps]
    return frozenset(name for given in sizes if isinstance(given, dict) for name in given)


def cannot_run(check: TargetCheck) -> Refusal:
    """The refusal of a model that does not run there."""
    decisive = next((it for it in check.findings if it.effect != "slower"), None)
    layer = next((it.node for it in check.findings if it.node), None)
    reasons = " ".join(f"[{reason}]" for reason in islice(check.reasons, MAX_NAMED))
    advice = OTHERWISE if decisive is None else ADVICE.get(decisive.rule, OTHERWISE)
    return Refusal(
        "target_cannot_run",
        f"{check.target} ({check.as_of}) cannot run this model. {check.summary} {reasons} {advice}",
        field="target",
        layer=layer,
    )
