"""The service that `winnow run` starts for itself where no --url names one."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.commands.settings import settings
from winnow.cli.screen import say
from winnow.client import ClientError

USERS_LOCK = Path.home() / ".cache" / "winnow" / "measure.lock"
"""What runs that have no data folder exclude each other by."""


@contextmanager
def own_service(data_dir: Path | None) -> Iterator[str]:
    """Start a service on any free port and stop it at the end; its address. Without a folder its data goes with it."""
    from app import embedded

    with tempfile.TemporaryDirectory(prefix="winnow-") as scratch:
        chosen = settings(
            host="127.0.0.1",
            port=0,
            auth="none",
            data_dir=data_dir or Path(scratch),
            measure_lock=None if data_dir or "WINNOW_MEASURE_LOCK" in os.environ else USERS_LOCK,
            log_level=os.environ.get("WINNOW_LOG_LEVEL", "WARNING"),
        )
        say("starting a service for this run")
        try:
            with embedded.running(chosen) as address:
                yield address
        except embedded.CannotStart as error:
            raise ClientError(str(error)) from error
