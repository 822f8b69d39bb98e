"""When rules say that a target cannot run a model at all: refused, with the nodes."""

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from winnow.contract.errors import Refusal
from winnow.contract.open_steps import AnyOf
from winnow.contract.target import JobTarget, checked_by_rules
from winnow.contract.target_rules.check import check_graph
from winnow.contract.target_rules.findings import MAX_NAMED, TargetCheck
from winnow.contract.target_rules.graph import CheckedGraph
from winnow.contract.target_rules.load import rules_of
from winnow.contract.target_rules.written import not_taken

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


def refuse_what_is_not_taken(target: JobTarget, steps: Iterable[object]) -> None:
    """Raise `target_cannot_run` where a step can write nothing but operators that the target does not take.

    `int8` writes nothing then, and what may be left out (`optional`) is left out."""
    name = checked_by_rules(target)
    for index, step in enumerate(steps):
        kind = str(getattr(step, "kind", ""))
        lacking = None if kind == "int8" or getattr(step, "optional", False) else not_taken(kind, name)
        if lacking is not None:
            raise Refusal(
                "target_cannot_run",
                f"{lacking}, and {kind} writes nothing else: its layers would not run there. Leave the step out "
                "(float16 and pruning write no such operators), or ask for another target.",
                field=f"recipe.steps.{index}",
            )


def fixed_dimensions(steps: Iterable[object]) -> frozenset[str]:
    """Names of dimensions, and of whole inputs, that steps of a recipe give a size (`fix_shapes`), in a search in any
    of the values that it may have."""
    given: list[Any] = [getattr(step, "fix_shapes", None) for step in steps]
    sizes = [choice for each in given for choice in (each.any_of if isinstance(each, AnyOf) else [each])]
    return frozenset(name for each in sizes if isinstance(each, dict) for name in each)


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
