"""How the page looks in a browser: boxes lie where they were found, whatever the picture's shape, and can be seen
through; printed, nothing is cut off."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from PIL import Image
from playwright.sync_api import Page

from tests.support.accessible import faults
from tests.support.asked import latency, report
from tests.support.graphs import cnn
from tests.worker.compression.result.page.test_page import subject as of_everything
from winnow.contract.recipe import Recipe
from winnow.contract.report import LayerReport, Pair, RequirementResult
from worker.compression.names import Names
from worker.compression.result.page.render import render
from worker.compression.result.page.seen import Sample, Seen
from worker.compression.result.page.subject import Subject

RECIPE = Recipe.model_validate({"steps": [{"kind": "weight_only"}]})
A4 = 703
"""Pixels of a page's text, between margins of 12 mm."""


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    """A detector's, of pictures twice as wide as high."""
    onnx.save(cnn(), tmp_path / "artifact.onnx")
    (Image.new("RGB", (160, 80), "white")).save(png := io.BytesIO(), "png")
    picture = f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
    boxes = {"boxes_before": [(0.5, 0.5, 1.0, 1.0)], "boxes_after": [(0.0, 0.0, 0.25, 0.5)]}
    samples = [Sample(1, "1 × cat", "nothing", None, 0.5, picture, **boxes)]
    seen = Seen(samples=samples, compared=2, differing=1)
    return Subject(report(), tmp_path / "artifact.onnx", RECIPE, seen=seen, names=Names("net", "a job"))


def test_boxes_lie_where_they_are_in_the_picture_and_hide_nothing(page: Page, subject: Subject) -> None:
    """To a pixel."""
    page.set_content(render(subject))
    image = page.locator(".picture img").bounding_box()
    assert image is not None
    assert image["width"] == pytest.approx(2 * image["height"], abs=1)
    for kind, (x, y, width, height) in (("before", (0.5, 0.5, 0.5, 0.5)), ("after", (0, 0, 0.25, 0.5))):
        rect = page.locator(f".picture rect.box.{kind}")
        assert rect.evaluate("it => getComputedStyle(it).fill") == "none"
        box = rect.evaluate(
            "it => { const b = it.getBoundingClientRect(); return [b.x, b.y, b.width, b.height] }"
        )
        wanted = [
            image["x"] + x * image["width"],
            image["y"] + y * image["height"],
            width * image["width"],
            height * image["height"],
        ]
        assert box == pytest.approx(wanted, abs=1), kind


def test_printed_nothing_is_cut_off_and_what_was_folded_is_there(page: Page, subject: Subject) -> None:
    pair = Pair(before=123_456_789, after=12_345_678, ratio=0.1)
    layers = [
        LayerReport(
            name=f"/backbone/stage{n}/blocks.{n}/attention/projection/Conv", op="Conv", parameters=pair, macs=pair,
            size_bytes=pair, before_dtype="float32", after_dtype="uint4",
        )
        for n in range(60)
    ]  # fmt: skip
    sentence = (
        "On 12 samples the predictions agree with the original's by 0.0000, and at least 0.9 was asked."
    )
    missed = RequirementResult(
        name="min_agreement", asked=0.9, measured=0.0, met=False, why=sentence, interval=None
    )
    told = subject.report.model_copy(
        update={"layers": layers, "requirements": [missed], "latency": [latency(1, 1), latency(8, 4)]}
    )
    page.set_content(render(replace(subject, report=told)))
    page.emulate_media(media="print")
    page.set_viewport_size({"width": A4, "height": 1000})
    assert (
        page.evaluate(f"[...document.querySelectorAll('*')].filter(it => {BEYOND}).map(it => it.outerHTML)")
        == []
    )
    assert page.evaluate("document.querySelector('details table').getBoundingClientRect().height") > 100


BEYOND = f"it.getBoundingClientRect().right > {A4 + 1} && !it.matches('.skip')"


def test_the_page_is_accessible_in_light_and_dark_and_a_phone_is_wide_enough(
    page: Page, subject: Subject
) -> None:
    """With all of its sections, and long names in them."""
    name = "/backbone/stage3/blocks.12/attention/projection/with/a/long/name/MatMul"
    page.set_content(render(of_everything(name, subject.artifact)))
    assert faults(page) == []


def test_keys_go_through_the_page_from_the_verdict_on(page: Page, subject: Subject) -> None:
    """A reader who cannot point skips the menu, and scrolls tables that are wider than the window."""
    page.set_content(render(of_everything("conv", subject.artifact)))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the verdict"
    scrolled = page.locator(".scroll, pre")
    assert scrolled.count() > 5
    assert scrolled.evaluate_all("all => all.every(it => it.tabIndex === 0)")
