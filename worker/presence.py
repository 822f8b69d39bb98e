"""This worker's record: that it is there, and what it has. Put by its parent, again and again."""

import logging
import socket
import time
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version

from app.machine import device, usable_cores, usable_memory_bytes
from app.storage.ports import Records
from app.storage.records import FORGET_WORKER_SECONDS, Worker
from worker.child.layers import available_layers
from worker.runtimes import installed_runtimes

log = logging.getLogger(__name__)

PUT_SECONDS = 15.0
HOST = socket.gethostname()[:100]
"""Of this machine, as its records have it."""


class Presence:
    """Making one starts two processes that find out layers and runtimes: a second or two."""

    def __init__(self, id: str, queues: Iterable[str], threads: int | None = None) -> None:
        now, layers = time.time(), available_layers()
        if missing := [name for name, holds in layers.items() if not holds] or (
            [] if layers else ["layer at all"]
        ):
            log.warning("the kernel or container gives children no %s; see /readyz", ", no ".join(missing))
        self._put_at = 0.0
        self._worker = Worker(
            id=id,
            host=HOST,
            queues=tuple(sorted(queues)),
            version=version("winnow-service"),
            started_at=now,
            last_seen=now,
            layers=layers,
            runtimes=installed_runtimes(),
            device=device(),
            cores=usable_cores(),
            memory_bytes=usable_memory_bytes(),
            threads=threads,
        )

    def put(self, records: Records) -> None:
        """Once in `PUT_SECONDS`, however often it is called."""
        if time.monotonic() - self._put_at < PUT_SECONDS:
            return
        now = time.time()
        records.worker_seen(replace(self._worker, last_seen=now), now - FORGET_WORKER_SECONDS)
        self._put_at = time.monotonic()
