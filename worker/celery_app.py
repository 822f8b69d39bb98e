"""The only module that knows Celery: two tasks that take an id, and the life of their processes.

    worker (parent)          forks the pool, runs the reaper and clears old scratch
      └── pool process       one, supervises one child at a time

Started by `winnow worker`; by hand: `python -m celery -A worker.celery_app worker -Q cpu,work --concurrency 1`. What it
is able to do are the names of its queues.

SIGTERM: the parent takes no more messages and passes SIGURG on; the pool process goes on for the time of grace, then
stops its child, gives the work back (it is queued again at once, goes on at its last checkpoint, and no attempt is
counted) and ends; at a second SIGTERM at once. When the parent is killed, the kernel kills the pool process, and its
guard the child (`worker.child`). When whoever started the parent dies, the parent gets SIGTERM.
"""

import functools
import logging
import os
import shutil
import signal
import time
import warnings
from multiprocessing.util import get_temp_dir
from threading import Thread
from types import FrameType
from typing import Any

import celery.apps.worker
import psutil
from celery.exceptions import SecurityWarning
from celery.signals import (
    celeryd_after_setup,
    setup_logging,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutting_down,
)
from celery.worker import state

from app import logs, tracing
from app.queue import TASK, CeleryQueue, celery_application
from app.settings import Settings
from app.storage.ids import new_id
from app.storage.open import open_blobs, open_records
from app.storage.records import Wake
from winnow.contract.capability import canonical
from worker.child import forking
from worker.compression.measure.apart.parent import die_with_parent
from worker.housekeeping import Housekeeping
from worker.leaving import Leaving
from worker.listening import listen
from worker.runner import Runner
from worker.runtimes import installed_runtimes

# It warns of pickles when started as root, as in a container; only JSON is accepted here.
warnings.filterwarnings("ignore", category=SecurityWarning)

# It writes that it shuts down past all logging, into the terminal of whoever ran `winnow run`.
celery.apps.worker.safe_say = lambda message, file=None: None

settings = Settings()
os.environ |= settings.measuring_variables  # children get them from here
app = celery_application(settings)
log = logging.getLogger(__name__)

PARENT = "WINNOW_PARENT_PID"
"""Set by `winnow serve`: the process without which this worker must not go on."""

STOP_WORK = signal.SIGURG
"""Ignored by who has no handler yet; billiard takes most others for itself."""
GIVE_BACK_SECONDS = 5.0
ID = new_id("wrk")
"""Of this worker's record; known before the pool process is forked."""
_leaving = Leaving(settings.grace_seconds)
_queues: list[str] = []


@functools.cache
def runner() -> Runner:
    """Made in the pool process, on first use: database connections do not survive a fork."""
    return Runner(
        settings,
        open_records(settings),
        open_blobs(settings),
        CeleryQueue(settings),
        _leaving,
        runtimes=frozenset(installed_runtimes()),
        id=ID,
        capabilities=canonical(_queues),
    )


@app.task(name=TASK["inspect"], bind=True)  # type: ignore[untyped-decorator]
def inspect(self: Any, id: str) -> None:
    _take(self, id)


@app.task(name=TASK["work"], bind=True)  # type: ignore[untyped-decorator]
def run(self: Any, id: str) -> None:
    _take(self, id)


def _take(task: Any, id: str) -> None:
    (queue,) = canonical([task.request.delivery_info["routing_key"]])
    runner().take(Wake(queue=queue, id=id))


@setup_logging.connect  # type: ignore[untyped-decorator]
def _log(**_: Any) -> None:
    logs.set_up(settings)
    logging.getLogger("alembic").setLevel(logging.WARNING)


@worker_init.connect  # type: ignore[untyped-decorator]
def _follow_parent(**_: Any) -> None:
    if (parent := os.environ.pop(PARENT, None)) is not None:
        die_with_parent(signal.SIGTERM, int(parent))


@worker_init.connect  # type: ignore[untyped-decorator]
def _find_runtimes(**_: Any) -> None:
    installed_runtimes()  # once for this process and all that it forks


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def _remember_queues(instance: Any, **_: Any) -> None:
    _queues.extend(instance.app.amqp.queues.consume_from)


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _begin_pool_process(**_: Any) -> None:
    signal.signal(STOP_WORK, _stop_work)
    die_with_parent(signal.SIGKILL, os.getppid())
    tracing.start("winnow-worker")
    runner()  # its imports and connections now, not in front of the first job


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def _end_pool_process(**_: Any) -> None:
    forking.end_servers()


def _stop_work(_signal: int, _frame: FrameType | None) -> None:
    _leaving.tell()


def _ends() -> bool:
    return state.should_stop is not None


@worker_ready.connect  # type: ignore[untyped-decorator]
def _keep_house(sender: Any, **_: Any) -> None:
    house = Housekeeping(settings, ID, _queues, lambda wanted: listen(sender, wanted, _ends))
    house.start()

    @worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def _leave(**_: Any) -> None:
        Thread(target=house.leave, name="leave", daemon=True).start()


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _shut_down(**_: Any) -> None:
    """In a signal handler: so the waiting is a thread's."""
    for process in psutil.Process().children():
        process.send_signal(STOP_WORK)
    Thread(target=_end_when_idle, name="end", daemon=True).start()


def _end_when_idle() -> None:
    """Celery's own way out takes 5 s, with nothing left to do: the record owns the work, not the message."""
    deadline = time.monotonic() + settings.grace_seconds + GIVE_BACK_SECONDS
    while state.active_requests and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.1)  # Celery acknowledges the message just after the request is over
    shutil.rmtree(get_temp_dir(), ignore_errors=True)  # the pool's, which an exit past Python's leaves behind
    os._exit(0)
