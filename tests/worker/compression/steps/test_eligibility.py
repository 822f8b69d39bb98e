"""The ladder of eligibility: the first reason that holds is the one that is reported."""

import numpy as np
import onnx_ir as ir
import pytest

from worker.compression.steps.eligibility import (
    EXCLUDED,
    IS_OUTPUT,
    NOT_FINITE,
    NOT_FLOAT32,
    SHARED,
    TWIN_EXCLUDED,
    why_ineligible,
)

RUNGS = {
    "excluded": EXCLUDED,
    "twin excluded": TWIN_EXCLUDED,
    "operator": "no such operator",
    "dtype": NOT_FLOAT32,
    "output": IS_OUTPUT,
    "shared": SHARED,
    "finite": NOT_FINITE,
    "rule": "too small",
}


def reason(faults: set[str]) -> str | None:
    """Of a product with these faults."""
    number = np.float32(np.nan if "finite" in faults else 1)
    dtype = np.float16 if "dtype" in faults else np.float32
    array = np.full((2, 2), number).astype(dtype)
    weight = ir.Value(name="w", const_value=ir.tensor(array), shape=ir.Shape((2, 2)))
    x = ir.Value(name="x")
    first, twin, other = (ir.node("MatMul", [x, weight], name=name) for name in ("first", "twin", "other"))
    if "shared" not in faults:
        other.replace_input_with(1, None)
    outputs = [weight] if "output" in faults else []
    ir.Graph([x], outputs, nodes=[first, twin, other], initializers=[weight], opset_imports={"": 21})
    return why_ineligible(
        first,
        [weight],
        [name for name, fault in (("first", "excluded"), ("twin", "twin excluded")) if fault in faults],
        operator="no such operator" if "operator" in faults else None,
        readers=[first, twin],
        rule=lambda: "too small" if "rule" in faults else None,
    )


@pytest.mark.parametrize("number", range(len(RUNGS)))
def test_the_first_reason_that_holds_is_told(number: int) -> None:
    faults = list(RUNGS)[number:]
    assert reason(set(faults)) == RUNGS[faults[0]]
    assert reason({faults[0]}) == RUNGS[faults[0]]


def test_nothing_against_it_is_no_reason() -> None:
    assert reason(set()) is None


def test_a_layer_without_weights_has_none_of_float32() -> None:
    node = ir.node("LSTM", [ir.Value(name="x")], name="lstm")
    assert why_ineligible(node, [], []) == NOT_FLOAT32
    assert why_ineligible(node, [None], []) == NOT_FLOAT32
