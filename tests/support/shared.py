"""What many modules want and takes long to start: one for all of them, as long as those come one after the other."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from tests.support.service import Service, service
from tests.support.sockets import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser

T = TypeVar("T")


class Shared(Generic[T]):
    """Made when it is first asked for, and again after its end."""

    def __init__(self, make: Callable[[], AbstractContextManager[T]]) -> None:
        self._make = make
        self._until_end = ExitStack()
        self._made: list[T] = []

    def get(self) -> T:
        if not self._made:
            self._made.append(self._until_end.enter_context(self._make()))
        return self._made[0]

    def end(self) -> None:
        self._made.clear()
        self._until_end.close()


@contextmanager
def _service() -> Iterator[Service]:
    """With its workers, on a port that it keeps when a test starts it again."""
    with tempfile.TemporaryDirectory(prefix="winnow-shared-") as folder:
        options = ("--port", str(free_port()))
        with service(Path(folder, "var"), *options, WINNOW_WEBHOOK_PRIVATE="127.0.0.0/8") as running:
            yield running


def _browser() -> "AbstractContextManager[Browser]":
    from tests.support.browser import chromium  # Playwright is heavy, and few need it

    return chromium()


SERVICE: Final = Shared(_service)
BROWSER: Final = Shared(_browser)
"""While Playwright runs, no test beside it can have an event loop of its own."""
BY_FIXTURE: Final[dict[str, Shared[Any]]] = {"winnow": SERVICE, "browser": BROWSER}
