"""The first page of a service that was just started: all that a browser fetches for it, and when it has it."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from playwright.sync_api import Browser

from benchmarks.parts import Row
from tests.support.browser import chromium
from tests.support.service import service

TIMES = 21
MOST_BYTES = 100_000
MOST_SECONDS = 0.2
LOADED = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"
FETCHED = """() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .map(it => it.transferSize)"""


def rows(folder: Path) -> Iterator[Row]:
    with service(folder / "var", "--no-workers", WINNOW_LOG_LEVEL="WARNING") as running:
        first, *later = (_answer_seconds(running.url) for _ in range(TIMES))
        yield _time("answer, the first of the process", first)
        yield _time(f"answer, median of {len(later)}", statistics.median(later))
        with chromium() as browser:
            loaded, sizes = zip(*(_loaded(browser, running.url) for _ in range(TIMES)), strict=True)
        count, size = len(sizes[0]), sum(sizes[0])
        asked = f"< {MOST_BYTES:,} bytes"
        yield Row(
            "first", "all that is fetched", asked, f"{size:,} bytes in {count} answers", size < MOST_BYTES
        )
        yield _time(f"loaded in Chromium, nothing kept, median of {TIMES}", statistics.median(loaded))


def _answer_seconds(url: str) -> float:
    """On a connection of its own."""
    with httpx.Client(headers={"Accept": "text/html"}, verify=False) as http:
        begun = time.perf_counter()
        http.get(url).raise_for_status()
        return time.perf_counter() - begun


def _loaded(browser: Browser, url: str) -> tuple[float, list[int]]:
    """Seconds to the load event in a context that has nothing of the service, and bytes with their heads."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(url)
        milliseconds: float = page.evaluate(LOADED)
        sizes: list[int] = page.evaluate(FETCHED)
        return milliseconds / 1000, sizes


def _time(what: str, seconds: float) -> Row:
    asked, measured = f"< {1000 * MOST_SECONDS:.0f} ms", f"{1000 * seconds:.0f} ms"
    return Row("first", what, asked, measured, seconds < MOST_SECONDS)
