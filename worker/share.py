"""How many threads a job's process takes: the cores of its worker."""

import time
from collections.abc import Collection

from app.machine import usable_cores
from app.settings import Settings
from app.storage.ports import Records
from app.storage.records import ALIVE_SECONDS, Worker
from winnow.contract.capability import INSPECT
from worker.presence import HOST
from worker.search.budget import alive


def own_threads(settings: Settings, records: Records) -> int:
    """As the operator says; else the cores that this process may use, divided by the workers of this host that run
    jobs. At least 1."""
    if settings.threads is not None:
        return settings.threads
    return max(1, usable_cores() // max(1, alive(_beside_us(records.workers(time.time() - ALIVE_SECONDS)))))


def _beside_us(workers: Collection[Worker]) -> list[Worker]:
    return [each for each in workers if each.host == HOST and {*each.capabilities} != {INSPECT}]
