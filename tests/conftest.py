"""Order: what takes longest comes first, so that the processes that share the tests end together."""

import gc
import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

os.environ.setdefault("WINNOW_QUIET_WAIT_SECONDS", "0")
"""Tests run beside each other: nothing would ever be quiet."""
os.environ["WINNOW_MEASURE_LOCK"] = str(Path(tempfile.gettempdir(), f"winnow-test-{os.getpid()}.lock"))
"""None asks how fast something is, so none waits for another's measurement."""
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
"""Else every process that is started here compiles all of the service and the worker anew."""
os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Before torch and numpy are imported: threads that spin for each other take the cores of the tests beside them."""
settings.register_profile("winnow", deadline=None)
settings.load_profile("winnow")
"""No example is timed: on a busy machine the first, which builds what the others use, is late."""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """One for a module: while Playwright runs, no test beside it can have an event loop of its own."""
    from tests.support.browser import chromium  # Playwright is heavy, and few need it

    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    with browser.new_context() as context:
        yield context.new_page()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests stay to the end: the garbage collector looks through them neither while they come nor later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "integration" not in item.path.parts)
