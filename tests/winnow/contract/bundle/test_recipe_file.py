"""What a bundle's recipe says, and what card and bill of materials say where uploads are gone."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st

from app.api.openapi import corpus
from winnow.contract.bundle.bom import bill_of_materials
from winnow.contract.bundle.card import model_card
from winnow.contract.bundle.front_matter import front_matter
from winnow.contract.bundle.recipe_file import RecipeFile, recipe_file
from winnow.contract.bundle.result import FinishedJob
from winnow.contract.exported import ExportedUpload
from winnow.contract.job import JobRequest
from winnow.contract.report import Report
from winnow.contract.strict_json import read_model

REPORT: dict[str, Any] = corpus()["Report"][0]
LAYERS = [{"name": "conv1", "quantized": True}, {"name": "fc", "quantized": False}]


def finished(recipe: dict[str, Any], *details: dict[str, Any], **changes: Any) -> FinishedJob:
    """A job whose steps tell these details; nothing of its uploads is left."""
    step = REPORT["steps"][0]
    steps = [{**step, "index": n, "details": each} for n, each in enumerate(details)]
    request = {"model": "mdl_1", "data": {"dataset": "dst_1"}, **changes, "recipe": recipe}
    return FinishedJob(
        "job_1",
        datetime(2026, 1, 1, tzinfo=UTC),
        JobRequest.model_validate(request),
        Report.model_validate({**REPORT, "steps": steps}),
    )


@pytest.mark.parametrize(("chosen", "floats"), [("static, mse", ["fc"]), ("dynamic", []), ("float", [])])
def test_what_int8_chose_by_time_is_written_as_settings(chosen: str, floats: list[str]) -> None:
    done = finished({"steps": [{"kind": "int8"}]}, {"chosen": chosen, "layers": LAYERS})
    file = read_model(RecipeFile, recipe_file(done).model_dump_json())
    assert file.job is not None
    (step,) = file.job.recipe.steps
    assert (step.model_dump()["candidate"], step.model_dump()["float_layers"]) == (chosen, floats)
    assert file.timed == []


@pytest.mark.parametrize("layers", [None, 7, "fc", [None, 7, {}, {"name": "fc"}]])
def test_details_of_another_shape_are_read_as_far_as_they_go(layers: Any) -> None:
    """A report's details are free: a child that is not trusted has written them."""
    done = finished({"steps": [{"kind": "int8"}]}, {"chosen": "static, mse", "layers": layers})
    assert recipe_file(done).job is not None


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_a_name_of_any_signs_is_read_as_it_is(name: str) -> None:
    upload = ExportedUpload.model_construct(id="mdl_1", kind="model", name=f"a{name}.onnx", sha256="0" * 64)
    done = replace(finished({"steps": [{"kind": "float16"}]}), uploads=(upload,))
    read = yaml.safe_load(front_matter(done).removeprefix("---").removesuffix("---"))
    assert read["base_model"] == done.model_name


@pytest.mark.parametrize(
    ("step", "timed"),
    [
        ({"kind": "channel_pruning", "target": "latency"}, True),
        ({"kind": "channel_pruning"}, False),
        ({"kind": "student", "target": "latency", "amount": 0.5}, True),
        ({"kind": "mixed_precision", "min_speedup": 2.0}, True),
        ({"kind": "mixed_precision", "max_size_ratio": 0.5}, False),
    ],
)
def test_steps_that_choose_by_time_are_named(step: dict[str, Any], timed: bool) -> None:
    done = finished({"steps": [step]}, {})
    assert recipe_file(done).timed == ([step["kind"]] if timed else [])
    assert ("chooses otherwise, by time" in model_card(done)) == timed


RECOVERY = {"kind": "finetune", "epochs": 7}


@pytest.mark.parametrize(
    ("step", "settings"),
    [
        ({"kind": "channel_pruning", "target": "latency"}, {"target": "channels", "amount": 0.25}),
        ({"kind": "depth_pruning", "target": "latency"}, {"target": "macs", "amount": 0.25}),
        (
            {"kind": "channel_pruning", "target": "latency", "rounds": 3},
            {"target": "channels", "amount": 0.5, "schedule": [0.8, 0.8, 0.5]},
        ),
        ({"kind": "student", "target": "latency", "amount": 0.5}, {"target": "macs", "amount": 0.25}),
        ({"kind": "mixed_precision", "min_speedup": 2.0}, {"bits": {"conv1": 8, "fc": 4}}),
        (
            {"kind": "channel_pruning", "rounds": 2, "recovery": RECOVERY},
            {"recovery": {"precision": "bfloat16"}},
        ),
    ],
)
def test_what_a_step_chose_by_time_is_written_as_the_settings_that_it_tells(
    step: dict[str, Any], settings: dict[str, Any]
) -> None:
    file = recipe_file(finished({"steps": [step]}, {"as_settings": settings}))
    assert file.job is not None
    (closed,) = (each.model_dump() for each in file.job.recipe.steps)
    recovery = settings.get("recovery")
    if recovery is not None:
        assert closed["recovery"]["precision"] == "bfloat16"
        assert closed["recovery"]["epochs"] == 7
    else:
        assert settings.items() <= closed.items()
    assert file.timed == []


@pytest.mark.parametrize(
    "settings",
    [
        7,
        ["target"],
        {"target": "channels", "schedule": [0.8, 0.5]},
        {"target": "gold"},
        {7: 8},
        {"recovery": {"precision": 1}},
        {"kind": "int8"},
    ],
)
def test_settings_that_no_step_has_change_nothing(settings: Any) -> None:
    step = {"kind": "channel_pruning", "target": "latency"}
    file = recipe_file(finished({"steps": [step]}, {"as_settings": settings}))
    assert file.job is not None
    assert file.job.recipe.steps[0].model_dump()["target"] == "latency"
    assert file.timed == ["channel_pruning"]


def test_a_preset_is_written_out() -> None:
    job = recipe_file(finished({"preset": "fast"}, {})).job
    assert job is not None
    assert job.recipe.steps


def test_what_was_deleted_is_told_by_its_id_and_nothing_is_made_up() -> None:
    done = finished({"steps": [{"kind": "float16"}]}, {})
    text = bill_of_materials(done)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    original, data = json.loads(text)["components"]
    assert original["hashes"][0]["content"] == REPORT["source_sha256"]
    assert (data["name"], "hashes" in data) == ("dst_1", False)
    card = model_card(done)
    assert "base_model" not in card
    assert "deleted since" in card
