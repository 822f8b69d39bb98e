"""What axe finds against WCAG 2.1 AA in a page, light and dark, and whether a phone is wide enough for it."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

ONLY = {"resultTypes": ["violations"]}
"""What passes is not described: that takes longer than to find it."""
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}, **ONLY}
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, **ONLY}
"""All that colours can change."""


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
