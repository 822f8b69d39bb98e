"""Threads that send what is due. They run in every API process; the store lets only one of them have a delivery.

Not in workers: these need no way out of their network, and parse what strangers upload.
"""

import logging
import random
import ssl
import time
from functools import cached_property
from threading import Event, Thread
from typing import Final

from app.networks import Networks
from app.storage.ports import Records
from app.webhooks.sending import SECONDS, send

log = logging.getLogger(__name__)

THREADS: Final = 4
LOOK_SECONDS: Final = 1.0
AFTER_FAILURE: Final = 10
"""Times as long is waited when the store is away."""
LEASE_SECONDS: Final = 4 * SECONDS
"""Whoever takes longer over an attempt, name server included, has lost it: another sends it again, with its id."""


class Sender:
    """What fails on our side is logged, and tried again when the lease has run out."""

    def __init__(self, records: Records, networks: Networks) -> None:
        self._records, self._networks = records, networks
        self._stopping = Event()
        self._threads = [Thread(target=self._run, name=f"webhooks-{n}", daemon=True) for n in range(THREADS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Harmless when it was never started. What is being sent then is sent again by whoever comes next."""
        self._stopping.set()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def send_one(self, now: float) -> bool:
        """Send what has been due for longest; False when nothing is."""
        taken = self._records.take_delivery(now, LEASE_SECONDS)
        if taken is None:
            return False
        webhook, delivery = taken
        answer = send(webhook, delivery, self._networks, self._context)
        chance = random.random()  # noqa: S311
        self._records.settle_delivery(
            delivery.id, delivery.attempt, time.time(), answer.status, answer.error, chance
        )
        log.info(
            "%s, attempt %d of %s to %s: %s",
            delivery.event, delivery.attempt, delivery.id, webhook.id, answer.error or answer.status,
        )  # fmt: skip
        return True

    @cached_property
    def _context(self) -> ssl.SSLContext:
        """The system's certificates, read once and only where something is sent (SSL_CERT_FILE names others)."""
        return ssl.create_default_context()

    def _run(self) -> None:
        pause = LOOK_SECONDS
        while not self._stopping.wait(pause * random.uniform(0.5, 1.0)):  # noqa: S311
            try:
                while not self._stopping.is_set() and self.send_one(time.time()):
                    pass
                pause = LOOK_SECONDS
            except Exception:
                pause = AFTER_FAILURE * LOOK_SECONDS
                log.exception("sending failed; trying again in %g s", pause)
