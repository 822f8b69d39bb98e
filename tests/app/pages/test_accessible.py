"""Pages in a real browser: axe finds no violation of WCAG 2.1 AA, light and dark, none is wider than a phone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.support.owners import ask, served_to
from tests.support.served import Served, served
from tests.support.shown import HOSTILE, HTML, World, world

ONLY = {"resultTypes": ["violations"]}
"""What passes is not described: that takes longer than to find it."""
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}, **ONLY}
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, **ONLY}
"""All that colours can change."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, World]]:
    with served(tmp_path_factory.mktemp("shown")) as api:
        yield api, world(api, f"a name that is long {HOSTILE}")


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        yield context.new_page()


def violations(page: Page) -> list[str]:
    return listed(Axe().run(page, options=RULES).response)


def listed(found: dict[str, Any]) -> list[str]:
    return [f"{it['id']}: {node['html'][:200]}" for it in found["violations"] for node in it["nodes"]]


def faults(page: Page) -> list[str]:
    """Of the page in both colour schemes, and as wide as a phone."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    light = violations(page)
    page.emulate_media(color_scheme="dark")
    dark = listed(page.evaluate("rules => axe.run(document, rules)", CONTRAST))  # it is loaded already
    page.set_viewport_size({"width": 360, "height": 740})
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return [*light, *dark, *(["wider than 360 px"] if wide else [])]


def test_every_page_is_accessible_and_narrow_enough_and_its_scripts_run(
    page: Page, shown: tuple[Served, World]
) -> None:
    """What Chromium itself says in the console of an answer that refuses is no failure of a script."""
    api, made = shown
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    seen: dict[str, Any] = {}
    for what, path in made.pages().items():
        page.goto(api.url + path)
        if found := faults(page):
            seen[what] = found
    assert not seen
    assert [line for line in said if "Failed to load resource" not in line] == []


def test_the_fields_of_a_recipe_are_accessible(page: Page, shown: tuple[Served, World]) -> None:
    """Those of a step that has every kind of them, and a step inside; one of them open."""
    api, made = shown
    page.goto(f"{api.url}/models/{made.model}/compress")
    page.get_by_label("A recipe of my own").check()
    pruning = {"kind": "channel_pruning", "amount": {"between": [0.1, 0.8]}, "recovery": {"kind": "finetune"}}
    static = {"kind": "int8_static", "calibration": {"any_of": ["mse", "entropy"]}}
    page.get_by_label("Steps, as JSON").fill(json.dumps({"steps": [pruning, static]}))
    page.locator(".steps > li:nth-child(2) summary").click()
    page.locator(".inside .setting").first.wait_for()
    page.locator(".steps > li:nth-child(2) .setting").first.wait_for()
    assert faults(page) == []


def test_signing_in_is_accessible_and_opens_the_page_that_was_asked_for(
    browser: Browser, tmp_path: Path
) -> None:
    with served_to("ada", tmp_path) as api, browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{api.url}/models")
        assert violations(page) == []
        page.get_by_label("Key or token").fill("winnow_" + "x" * 43)
        page.keyboard.press("Enter")
        page.get_by_role("alert").get_by_text("key").wait_for()
        page.get_by_label("Key or token").fill(api.http.headers["authorization"].removeprefix("Bearer "))
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Models").wait_for()
        assert page.url == f"{api.url}/models"
        assert page.evaluate("document.cookie") == ""
        [cookie] = context.cookies()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("heading", name="Sign in").wait_for()
        gone = ask(api, "GET", "/models", headers=HTML, cookies={cookie["name"]: cookie["value"]})
        assert gone.status_code == 401


def test_all_can_be_reached_by_keyboard_and_the_first_stop_skips_the_menu(
    browser: Browser, shown: tuple[Served, World]
) -> None:
    api, made = shown
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{api.url}/models/{made.model}/compress")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        focused = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            focused.add(
                page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
            )
        assert {"min_speedup", "way-auto", "objective", "seconds", "Start the job"} <= focused
        page.locator("#way-auto").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.locator("#recipe").wait_for(state="visible")
        page.locator(".steps .setting").first.wait_for()
