"""One service for all tests that want nothing but one with its workers: to start it is dearer than most of them."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.support.service import Service, service
from tests.support.sockets import free_port


class SharedService:
    """It runs from when it is first asked for until it is ended, on a port that it keeps when a test restarts it."""

    def __init__(self) -> None:
        self._until_end = ExitStack()
        self._running: Service | None = None

    def running(self) -> Service:
        if self._running is None:
            folder = self._until_end.enter_context(tempfile.TemporaryDirectory(prefix="winnow-shared-"))
            options = ("--port", str(free_port()))
            made = service(Path(folder, "var"), *options, WINNOW_WEBHOOK_PRIVATE="127.0.0.0/8")
            self._running = self._until_end.enter_context(made)
        if not self._running.runs:  # a test that stopped it has failed
            self._running.start()
        return self._running

    def end(self) -> None:
        self._running = None
        self._until_end.close()


SHARED: Final = SharedService()
"""Of this process."""
