"""Debian's Chromium, driven by Playwright."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, sync_playwright

from tests.support.integration import binary

FEWER_PROCESSES: Final = (
    "--disable-gpu",
    "--disable-software-rasterizer",
    "--in-process-gpu",
    "--disable-site-isolation-trials",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Headless; without its sandbox where root runs it, which Chromium asks for."""
    options = [*FEWER_PROCESSES, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary("chromium"), args=options)
        try:
            yield browser
        finally:
            browser.close()
