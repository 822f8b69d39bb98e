"""Raising the opset changes nothing that ONNX Runtime computes, whatever the operator, its version and attributes.

The exhaustive table is in `make bench-faults` (part graphs); here are those that onnx's converter gets wrong, in full,
and of all others some that hypothesis draws.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import opset_cases
from tests.support.opset_cases import Case
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.opset.conversion import lower_opset, raise_opset

TOLERANCE = 1e-5
"""Of the largest magnitude."""
NEWEST = 21
"""The highest opset that a technique asks for."""
REWRITTEN = ("Dropout", "Hardmax", "LogSoftmax", "Softmax", "Upsample")
OTHERS = sorted({*opset_cases.operators()} - {"Scan"})


@cache
def cases(operator: str, until: int = NEWEST) -> Sequence[Case]:
    return [case for case in opset_cases.cases(operator) if case.opset < until]


def check(case: Case, minimum: int, *, inside: bool = False, symbolic: bool = False) -> None:
    """The model at this opset, and taken back, answers what ONNX Runtime answers for the model as it is."""
    if case.answers is None:
        return
    model = case.model(inside=inside, symbolic=symbolic)
    expected = opset_cases.run(model, case.feeds)
    if expected is None or opset_cases.error(case.answers, expected):
        return  # ONNX Runtime itself answers otherwise inside an If, or for open sizes
    normal = normalise(ir.from_proto(model))
    raised = raise_opset(normal, minimum)
    for result in (raised, lower_opset(raised.clone(), case.opset)):
        error = opset_cases.error(expected, opset_cases.run(ir.to_proto(result), case.feeds))
        assert error <= TOLERANCE, (case.name, minimum)


@pytest.mark.parametrize("operator", REWRITTEN)
def test_what_the_converter_gets_wrong_keeps_its_meaning(operator: str) -> None:
    for case in cases(operator, 13)[::2]:
        check(case, 13)


def test_resize_of_opset_10_keeps_its_meaning() -> None:
    for case in cases("Resize", 11):
        check(case, 13)


def test_a_pad_that_reflects_forgets_its_value() -> None:
    for case in cases("Pad", 8):
        if case.attributes.get("mode") == "reflect":
            check(case, 13)


@pytest.mark.parametrize("operator", ["Hardmax", "Upsample"])
def test_it_holds_inside_a_branch_too_and_for_open_sizes(operator: str) -> None:
    for case in cases(operator, 8)[:6]:
        check(case, 13, inside=True, symbolic=True)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_raised_opset_computes_the_same(data: st.DataObject) -> None:
    """For any operator, version, attributes and opset up to the newest that is asked for; also back again."""
    operator = data.draw(st.sampled_from([name for name in OTHERS if cases(name)]))
    case = data.draw(st.sampled_from(cases(operator)))
    minimum = data.draw(st.integers(case.opset + 1, NEWEST))
    if operator == "PRelu" and case.inputs[0].dtype != np.float32:
        return  # refused: there is no kernel
    check(case, minimum, inside=data.draw(st.booleans()), symbolic=data.draw(st.booleans()))


@pytest.mark.parametrize(("operator", "opset", "minimum"), [("Scan", 8, 13), ("PRelu", 16, 21)])
def test_what_cannot_be_raised_is_refused_with_the_node(operator: str, opset: int, minimum: int) -> None:
    integers = [c for c in cases(operator) if c.opset == opset and c.answers is not None]
    case = next(c for c in integers if operator == "Scan" or c.inputs[0].dtype.kind == "i")
    with pytest.raises(ValueError, match=rf"{operator} \(y_node\)"):
        raise_opset(normalise(ir.from_proto(case.model())), minimum)
