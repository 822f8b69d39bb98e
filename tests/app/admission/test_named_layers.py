"""What patterns cost when a job is submitted: bounded by counting, before a name is looked at."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.admission.model_state import ModelState
from app.admission.named_layers import MAX_EFFORT, NamedLayers
from tests.support.admission import outcome
from tests.support.facts import model_facts
from winnow.contract.job import ClosedJob
from winnow.contract.model import Layer, ModelFacts


def many_layers(count: int, table: str | None = None) -> ModelFacts:
    layers = [
        Layer(name=f"/layer{i}/conv", op="Conv", weight=[8, 8, 1, 1], macs=1, table=table)
        for i in range(count)
    ]
    return model_facts(layers=layers)


def test_patterns_of_many_characters_or_in_great_number_are_refused_by_the_schema() -> None:
    def asked(exclude: list[str]) -> ClosedJob:
        steps = [{"kind": "low_rank", "exclude": exclude}]
        return ClosedJob.model_validate({"model": "m", "recipe": {"steps": steps}})

    assert asked(["*" * 200] * 100)
    for too_much in (["[" * 10_000], ["x" * 201], ["x"] * 101):
        with pytest.raises(ValidationError):
            asked(too_much)


def test_more_comparisons_than_fit_into_a_second_are_refused_before_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(NamedLayers, "matched", lambda *_: pytest.fail("a name was compared"))
    steps: list[dict[str, Any]] = [
        {"kind": "channel_pruning", "exclude": [f"*{i}*" for i in range(100)]}
    ] * 20
    problem = outcome(*steps, model=many_layers(5000))
    assert problem is not None
    assert (problem.code, problem.field) == ("invalid_request", "recipe.steps")
    assert str(MAX_EFFORT) in problem.detail


def test_naming_a_thousand_layers_in_full_costs_nothing() -> None:
    names = [f"/layer{i}/conv" for i in range(1000)]
    facts = many_layers(20_000)
    assert outcome({"kind": "sparsity", "criterion": "magnitude", "layers": names}, model=facts) is None


def test_a_pattern_that_stands_often_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand times the name of a table of 20,000 layers took 5 s for each step."""
    asked: list[str] = []
    matched = NamedLayers.matched

    def noted(self: NamedLayers, pattern: str, field: str) -> list[int]:
        asked.append(field)
        return matched(self, pattern, field)

    monkeypatch.setattr(NamedLayers, "matched", noted)
    facts = many_layers(3, table="table")
    step = {"kind": "sparsity", "criterion": "magnitude", "layers": ["table", "*"] * 500}
    assert outcome(step, model=facts) is None
    assert asked == ["recipe.steps.0.layers.0", "recipe.steps.0.layers.1"]
    problem = outcome({"kind": "low_rank", "exclude": ["none"] * 100}, model=facts)
    assert problem is not None
    assert [error.path for error in problem.errors] == ["recipe.steps.0.exclude.0"]


def test_an_effort_that_is_too_large_hides_no_other_fault() -> None:
    often = {"kind": "channel_pruning", "exclude": [f"*{i}*" for i in range(100)]}
    problem = outcome(
        *[often] * 19, {"kind": "int8_static"}, model=many_layers(5000), evaluation={"metric": "top1"}
    )
    assert problem is not None
    assert [error.path for error in problem.errors] == ["recipe.steps", "data.calibration", "data.evaluation"]


def test_a_table_is_another_name_of_the_layer() -> None:
    named = NamedLayers(ModelState("The model", many_layers(2, table="word_embeddings")))
    assert named.matched("word_*", "exclude.0") == [0, 1]
    assert named.matched("word_embeddings", "exclude.0") == [0, 1]
    assert named.matched_by_all(["*1/*", "word_*"], "exclude") == {0, 1}
