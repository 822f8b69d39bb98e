"""Sections that draw what steps tell in their details, which are free: what is of another shape is left out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import robust
from tests.support.arithmetic import arithmetic as as_measured
from tests.support.asked import report
from winnow.contract.recipe import Recipe
from winnow.contract.report import ClassQuality
from worker.compression.result.page.blocks import Paragraph, Table
from worker.compression.result.page.marks import Rect
from worker.compression.result.page.sections import arithmetic, classes, robustness
from worker.compression.result.page.sections.per_layer import sensitivity
from worker.compression.result.page.sections.provenance import recipe
from worker.compression.result.page.seen import Seen
from worker.compression.result.page.subject import Subject


def subject(details: dict[str, Any]) -> Subject:
    """Its first step tells these details."""
    base = report()
    steps = [base.steps[0].model_copy(update={"details": details})]
    return Subject(base.model_copy(update={"steps": steps}), Path("artifact.onnx"), None)


@pytest.mark.parametrize(
    ("details", "bars"),
    [
        (
            {"sensitivity": [{"name": "fc", "snr_db": 40.0}, {"name": "conv", "snr_db": 9}]},
            ["conv: 9.0 dB", "fc: 40.0 dB"],
        ),
        ({"static": {"sensitivity": [{"name": "fc", "snr_db": 40.0}]}}, ["fc: 40.0 dB"]),
        (
            {"layers": [{"name": "fc", "snr_db": {"8": 40.0, "4": 18.5}}, {"name": "a", "snr_db": {}}]},
            ["fc, 4 bits: 18.5 dB", "fc, 8 bits: 40.0 dB"],
        ),
    ],
)
def test_what_layers_cost_alone_is_drawn_the_dearest_first(details: dict[str, Any], bars: list[str]) -> None:
    drawn = sensitivity.section(subject(details))
    assert drawn is not None
    (figure,) = drawn.blocks[-1].figures  # type: ignore[union-attr]
    assert [mark.tip for mark in figure.drawing.marks if isinstance(mark, Rect)] == bars


@pytest.mark.parametrize(
    "details",
    [{}, {"layers": 7}, {"layers": [7, {"name": "fc", "snr_db": None}]}, {"sensitivity": [{"snr_db": 1.0}]}],
)
def test_without_any_there_is_no_section(details: dict[str, Any]) -> None:
    assert sensitivity.section(subject(details)) is None


def test_classes_are_called_by_their_names_whatever_the_task() -> None:
    base = report()
    changed = [ClassQuality(number=1, before=0.5, after=0.75), ClassQuality(number=7, before=0.5, after=0.25)]
    quality = [base.quality[0].model_copy(update={"per_class": changed})]
    told = Subject(
        base.model_copy(update={"quality": quality}),
        Path("artifact.onnx"),
        None,
        seen=Seen(classes=["cat", "dog"]),
    )
    drawn = classes.section(told)
    assert drawn is not None
    (figure,) = drawn.blocks[0].figures  # type: ignore[union-attr]
    tips = [(mark.tip.split(",")[0], mark.kind) for mark in figure.drawing.marks if isinstance(mark, Rect)]
    assert sorted(tips) == [("class 7", "bad"), ("dog", "good")]


def test_a_recipe_that_is_too_long_for_a_page_is_in_the_bundle() -> None:
    names = [f"block.{n}.{'attention/' * 20}weight" for n in range(5_000)]
    int8 = {"kind": "int8", "candidate": "static, mse", "float_layers": names}
    long = replace(subject({}), recipe=Recipe.model_validate({"steps": [int8]}))
    said = recipe.section(long).blocks[-1]
    assert isinstance(said, Paragraph)
    assert "The bundle has it" in said.text


def test_each_fact_of_robustness_is_a_sentence_and_what_came_in_stands_out() -> None:
    base = subject({})
    assert robustness.section(base) is None, "of before it was measured"
    told = replace(base, report=base.report.model_copy(update={"robustness": robust.robustness()}))
    drawn = robustness.section(told)
    assert drawn is not None
    seen = [(block.lead, block.tone) for block in drawn.blocks if isinstance(block, Paragraph)]
    assert seen == [
        ("Neighbours: ", "bad"), ("Padding: ", ""), ("CPUs without VNNI: ", "bad"), ("Noise: ", ""),
        ("Unseen data: ", ""),
    ]  # fmt: skip


def test_what_really_runs_is_a_sentence_and_a_row_for_each_model_that_is_known() -> None:
    base = subject({})
    assert arithmetic.section(base) is None, "of before it was looked at"
    told = replace(base, report=base.report.model_copy(update={"arithmetic": as_measured()}))
    drawn = arithmetic.section(told)
    assert drawn is not None
    said, table = drawn.blocks
    assert isinstance(said, Paragraph)
    assert isinstance(table, Table)
    assert said.text == "It computes <b>."
    (row,) = table.rows
    assert row == ["after", "20", "60.0%", "10.0%", "98.0%", "2.0%", "float32", "1 Conv, 9 QLinearConv"]
