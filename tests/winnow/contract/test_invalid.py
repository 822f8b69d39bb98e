"""What pydantic says, in words of ours."""

import json
from typing import Any

import pytest

from winnow.contract.errors import Refusal
from winnow.contract.job import JobRequest
from winnow.contract.strict_json import read_model

FLOAT16 = [{"kind": "float16"}]


def said(**changes: Any) -> dict[str, str]:
    """Path → what is wrong there."""
    asked = {"model": "mdl_x", "recipe": {"steps": FLOAT16}} | changes
    with pytest.raises(Refusal) as refused:
        read_model(JobRequest, json.dumps(asked))
    return {error.path: error.detail for error in refused.value.errors}


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"recpie": 1}, "recpie", "Did you mean recipe?"),
        (
            {"recipe": {"steps": [{"kind": "int8_statik"}]}},
            "recipe.steps.0.kind",
            "Did you mean int8_static?",
        ),
        (
            {"recipe": {"steps": [{"kind": "int8", "candidate": "dynamic", "float_layers": ["fc"]}]}},
            "recipe.steps.0",
            "float_layers are those of a static candidate",
        ),
        (
            {"recipe": {"steps": [{"kind": "int8_static", "smaples": 1}]}},
            "recipe.steps.0.smaples",
            "Did you mean samples?",
        ),
        (
            {"recipe": {"steps": [{"kind": "int8_static", "calibration": "percentil"}]}},
            "recipe.steps.0.calibration",
            "Did you mean percentile?",
        ),
        ({"evaluation": {"metric": "top_1"}}, "evaluation.metric", "Did you mean top1?"),
        ({"require": {"max_metric_dorp": 0.1}}, "require.max_metric_dorp", "Did you mean max_metric_drop?"),
        ({"require": {"min_speedup": "fast"}}, "require.min_speedup", "a number was expected, not 'fast'."),
        ({"seed": 1.5}, "seed", "a whole number was expected, not 1.5."),
        ({"seed": -1}, "seed", "has to be at least 0, not -1."),
        ({"name": 3}, "name", "a text was expected, not 3."),
        ({"recipe": []}, "recipe", "an object was expected, not a list."),
        ({"recipe": {"steps": []}}, "recipe.steps", "has to have at least 1 entries."),
    ],
)
def test_every_fault_is_named_in_words_with_the_nearest_known_name(
    changes: dict[str, Any], path: str, words: str
) -> None:
    assert words in said(**changes)[path]


def test_a_name_without_a_near_one_is_told_all_that_are_known() -> None:
    assert (
        "There are kind, "
        in said(recipe={"steps": [{"kind": "int8_dynamic", "zzz": 1}]})["recipe.steps.0.zzz"]
    )
