"""What POST refuses of vocabulary_pruning, by the tables that inspection found."""

from typing import Any

import pytest

from tests.support.admission import calibration, outcome, refused
from tests.support.facts import model_facts
from winnow.contract.model import Layer, LookupTable, ModelFacts

STEP: dict[str, Any] = {"kind": "vocabulary_pruning"}
WHERE = "recipe.steps.0"


def with_tables(*pinned: str | None, rows: int = 30) -> ModelFacts:
    tables = [
        LookupTable(name=f"table{n}", rows=rows, ids=rows, inputs=["input"], pinned=why)
        for n, why in enumerate(pinned)
    ]
    gathers = [Layer(name=each.name, op="Gather", weight=[rows, 4], macs=0) for each in tables]
    return model_facts(tables=tables, layers=[*model_facts().layers, *gathers])


def test_it_needs_calibration_or_training_data() -> None:
    assert refused(STEP, model=with_tables(None)) == ("missing_data", "data.calibration")
    data = calibration()
    assert outcome(STEP, model=with_tables(None), data=data) is None
    assert outcome(STEP, model=with_tables(None), data={"training": data["calibration"]}) is None


@pytest.mark.parametrize(
    ("model", "step", "field", "said"),
    [
        (with_tables(), {}, "kind", "has no table that an input is looked up in"),
        (with_tables("MatMul 'mix' reads all of it"), {}, "kind", "(table0: MatMul 'mix' reads all of it)"),
        (with_tables(None), {"exclude": ["table*"]}, "kind", "(table0: excluded)"),
        (with_tables(None), {"fallback_id": 30}, "fallback_id", "has 30 ids, 0 to 29"),
        (with_tables(None), {"keep": [3, [10, 31]]}, "keep", "keep has the id 30"),
    ],
)
def test_what_the_tables_rule_out_is_refused(
    model: ModelFacts, step: dict[str, Any], field: str, said: str
) -> None:
    problem = outcome({**STEP, **step}, model=model, data=calibration())
    assert problem is not None
    assert problem.code == ("nothing_to_compress" if field == "kind" else "invalid_request")
    assert said in (problem.detail or "")
    if "exclude" not in step:
        assert problem.field == f"{WHERE}.{field}"


def test_ids_within_the_table_are_taken() -> None:
    step = {**STEP, "fallback_id": 29, "keep": [0, [10, 30]]}
    assert outcome(step, model=with_tables(None), data=calibration()) is None


def test_a_model_that_was_inspected_before_tables_were_looked_for_is_not_refused() -> None:
    assert outcome(STEP, model=model_facts(), data=calibration()) is None
