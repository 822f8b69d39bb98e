"""Order: what takes longest comes first, so that the processes that share the tests end together; then what shares a
service, which is stopped behind the last of them."""

import gc
import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support.service import Service
from tests.support.shared import BROWSER, BY_FIXTURE, SERVICE

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
def winnow() -> Service:
    """A service with its workers, which has what other tests gave it."""
    if not (shared := SERVICE.get()).runs:  # the test that stopped it has failed
        shared.start()
    return shared


@pytest.fixture(scope="module")
def browser() -> "Browser":
    return BROWSER.get()


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
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    service, browser = (name in _fixtures(item) for name in BY_FIXTURE)
    if not service and not browser:
        return 0 if "integration" in item.path.parts else 4
    return 3 if not service else 2 if browser else 1


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """What the next test's module does not share ends, once fixtures of this module have ended that may use it."""
    for name, shared in BY_FIXTURE.items():
        if nextitem is None or (nextitem.path != item.path and name not in _fixtures(nextitem)):
            shared.end()


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])
