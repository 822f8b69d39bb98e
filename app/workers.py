"""The workers of the embedded service: started as commands, started again when they die, stopped together."""

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from threading import Event, Thread
from types import TracebackType
from typing import Self

from app.machine import VISIBLE_GPUS, usable_cores, visible_gpus
from app.queue import queues_of
from app.setting_sources import PREFIX, ValueFiles
from app.settings import Settings
from winnow.contract.capability import CPU, CUDA, INSPECT

log = logging.getLogger(__name__)

STOP_SECONDS = 8.0
LOOK_SECONDS = 0.2
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 30.0
HEALTHY_SECONDS = 60.0
STDERR = 2


def worker_command(capabilities: Sequence[str], number: int = 0) -> list[str]:
    """It does one piece of work at a time. `number` tells the workers of one parent apart."""
    options = "--pool prefork --concurrency 1 --without-gossip --without-mingle --without-heartbeat"
    name = f"{'-'.join(capabilities)}-{os.getpid()}{f'-{number}' if number else ''}@%h"
    celery = [sys.executable, "-m", "celery", "--quiet", "-A", "worker.celery_app", "worker"]
    queues = ",".join(queue for name in capabilities for queue in queues_of(name))
    return [*celery, "-Q", queues, "--hostname", name, *options.split()]


def own_capabilities(settings: Settings) -> list[str]:
    """What a worker is able to do here, if nobody says otherwise."""
    if settings.capabilities is not None:
        return settings.capabilities.split(",")
    return [CPU, CUDA] if visible_gpus() else [CPU]


def worker_environment(settings: Settings) -> dict[str, str]:
    """The settings as the variables from which a worker reads them, without what it reads itself from the same file."""
    values = settings.model_dump(mode="json", exclude_none=True) | {
        "data_dir": str(settings.data_dir.resolve())
    }
    held = ValueFiles(Settings)()
    return {
        f"{PREFIX}{name.upper()}": str(value)
        for name, value in values.items()
        if str(value) != held.get(name)
    }


@dataclass
class _Worker:
    """`environment` is what it has besides that of the others."""

    capabilities: Sequence[str]
    number: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    pause: float = SHORTEST_PAUSE_SECONDS
    start_at: float = field(default_factory=time.monotonic)


class Workers:
    """A context. One thread starts, watches and stops them all: the kernel takes its end for their parent's.

    `jobs` of them run jobs and share the cores, one more inspects uploads. What they leave in their folder for
    temporary files goes with it: a pool that is told to stop forgets its own.
    """

    def __init__(self, settings: Settings, jobs: int = 1) -> None:
        threads = settings.threads or max(1, usable_cores() // jobs)
        self._environment = (
            os.environ
            | worker_environment(settings.model_copy(update={"threads": threads}))
            | {"WINNOW_PARENT_PID": str(os.getpid())}
        )
        self._workers = [*_for_jobs(settings, jobs), _Worker([INSPECT])]
        self._stop_seconds = STOP_SECONDS + settings.grace_seconds
        self._stop = Event()
        self._temporary = TemporaryDirectory(prefix="winnow-workers-", ignore_cleanup_errors=True)
        self._thread = Thread(target=self._run, name="workers")

    def __enter__(self) -> Self:
        self._environment["TMPDIR"] = self._temporary.name
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._temporary.cleanup()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for worker in self._workers:
                    self._look_after(worker)
                self._stop.wait(LOOK_SECONDS)
        finally:
            processes = [worker.process for worker in self._workers if worker.process]
            _stop_all(processes, self._stop_seconds)

    def _look_after(self, worker: _Worker) -> None:
        now = time.monotonic()
        if worker.process is None:
            if now >= worker.start_at:
                worker.started = now
                try:
                    worker.process = self._start(worker)
                except OSError as error:  # no memory for another process, for example
                    _pause(worker, now, f"cannot be started ({error})")
        elif (code := worker.process.poll()) is not None:
            worker.process = None
            _pause(worker, now, f"ended with {code}")

    def _start(self, worker: _Worker) -> "subprocess.Popen[bytes]":
        """In a session of its own: Ctrl-C in a terminal is for us, and we tell them. All it says is log."""
        return subprocess.Popen(
            worker_command(worker.capabilities, worker.number),
            env={**self._environment, **worker.environment},
            stdin=subprocess.DEVNULL,
            stdout=STDERR,
            start_new_session=True,
        )


def _for_jobs(settings: Settings, jobs: int) -> Iterator[_Worker]:
    """Each GPU has a worker of its own, and the others none: two jobs on one slow each other down."""
    gpus = visible_gpus()
    for number in range(jobs):
        mine = gpus[number : number + 1]
        seen = {VISIBLE_GPUS: ",".join(mine)} if gpus else {}
        usual = [CPU, CUDA] if mine else [CPU]
        chosen = settings.capabilities.split(",") if settings.capabilities else usual
        yield _Worker([name for name in chosen if mine or not gpus or name != CUDA] or [CPU], number, seen)


def _pause(worker: _Worker, now: float, why: str) -> None:
    pause = SHORTEST_PAUSE_SECONDS if now - worker.started > HEALTHY_SECONDS else worker.pause
    log.warning("the %s worker %s; again in %.1f s", "/".join(worker.capabilities), why, pause)
    worker.start_at, worker.pause = now + pause, min(2 * pause, LONGEST_PAUSE_SECONDS)


def _stop_all(processes: "list[subprocess.Popen[bytes]]", seconds: float) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + seconds
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        if process.poll() is None:
            log.warning("worker %d did not stop in %g s", process.pid, seconds)
            process.kill()
            process.wait()
