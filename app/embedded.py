"""The whole service in one command: the API in this process, workers beside it, nothing else to install.

    winnow serve            this process: uvicorn in a thread, waiting for SIGINT or SIGTERM
      ├── worker  cpu       `python -m celery …`, restarted when it dies; as many as the machine carries
      └── worker  inspect

`app` does not import `worker`; it starts it as a command. If this process is killed, the kernel tells the workers
(PR_SET_PDEATHSIG) and they give their work back; whatever they hold nevertheless is taken back at the next start.
"""

import errno
import fcntl
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from threading import Event, Thread
from typing import NoReturn, TextIO

import uvicorn
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from app import logs
from app.access.start import CannotStart as CannotStart
from app.access.start import check_settings
from app.api.deps import Parts
from app.machine import sensible_workers
from app.main import create_app
from app.server.limits import raise_descriptor_limit
from app.server.make import make_server
from app.setting_sources import place
from app.settings import Settings
from app.storage.engine import open_engine
from app.storage.migrate import SchemaTooNew, check_schema
from app.storage.open import CannotOpen
from app.storage.reaper import reap_once
from app.workers import Workers, own_capabilities, worker_command, worker_environment

log = logging.getLogger(__name__)

START_SECONDS = 60.0
GRACE_SECONDS = 2


def serve(settings: Settings, *, workers: int | None = None) -> None:
    """Run until SIGINT or SIGTERM, with so many workers for jobs: those that the settings name where it is None, else
    as many as the machine carries. Raises `CannotStart`."""
    if workers is None:
        workers = settings.workers or sensible_workers()
    stop = Event()
    logs.set_up(settings)
    raise_descriptor_limit()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with running(settings, workers=workers) as url:
        _keep_what_is_there()
        print(f"Winnow is at {url}  (documentation: {url}/docs)", flush=True)
        stop.wait()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends it at once


def _keep_what_is_there() -> None:
    """Modules, routes and schemas stay: looked through again by the garbage collector, they held up one or two requests
    in a hundred (lists, submissions) for 50 to 90 ms, on a busy machine."""
    gc.collect()
    gc.freeze()


@contextmanager
def running(settings: Settings, *, workers: int = 1) -> Iterator[str]:
    """The service, for as long as the context lasts; its base URL. `workers` are those for jobs, with one more for
    uploads; 0 for none of either. Raises `CannotStart`."""
    check_settings(settings)
    if workers:
        _check_installed()
    with ExitStack() as stack:
        stack.enter_context(only_one(settings))
        listening = stack.enter_context(_listen(settings))
        application = _application(settings)
        if workers:
            _take_back(settings, application)
            stack.enter_context(Workers(settings, workers))
        stack.enter_context(_serving(application, listening))
        yield _url(listening)


def work(settings: Settings) -> NoReturn:
    """Become a worker. Raises `CannotStart`."""
    _check_installed()
    _check_schema(settings)
    command = worker_command(own_capabilities(settings))
    os.execve(sys.executable, command, os.environ | worker_environment(settings))  # noqa: S606


def _check_installed() -> None:
    if find_spec("onnxruntime") is None:
        raise CannotStart(
            "This installation has no worker. Install it with `pip install ./winnow '.[worker]'`."
        )


def _check_schema(settings: Settings) -> None:
    """A database that is away is no reason not to start: the worker waits for it."""
    try:
        with suppress(SQLAlchemyError):
            check_schema(open_engine(settings.database))
    except SchemaTooNew as error:
        raise CannotStart(str(error)) from error


def _application(settings: Settings) -> FastAPI:
    try:
        return create_app(settings)
    except (CannotOpen, SchemaTooNew) as error:
        raise CannotStart(str(error)) from error
    except OSError as error:
        raise _not_writable(settings, error) from error
    except SQLAlchemyError as error:
        why = str(error).splitlines()[0]
        raise CannotStart(f"The database cannot be opened ({why}). Check {place('database_url')}.") from error


def _not_writable(settings: Settings, error: OSError) -> CannotStart:
    folder = settings.data_dir.resolve()
    return CannotStart(
        f"The folder {folder} cannot be written ({error.strerror}). Give this user the right to, make room, or name "
        "another folder with WINNOW_DATA_DIR."
    )


@contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Raises `CannotStart` where a service runs on this data. The lock goes with the process, however it ends."""
    with _lock_file(settings) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(
                f"A Winnow service already runs on {settings.data_dir.resolve()}. Stop it, or name another folder with "
                "WINNOW_DATA_DIR."
            ) from None
        yield


def _lock_file(settings: Settings) -> TextIO:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        return (settings.data_dir / "serve.lock").open("w")
    except OSError as error:
        raise _not_writable(settings, error) from error


@contextmanager
def _listen(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with ExitStack() as stack:
        try:
            listening = stack.enter_context(socket.socket(family))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((settings.host, settings.port))
        except OSError as error:
            raise CannotStart(_why_not(settings, error)) from None
        yield listening


def _why_not(settings: Settings, error: OSError) -> str:
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"Something already listens on {where}. Choose another port with --port, or any free one with --port 0."
    return f"Cannot listen on {where}: {error.strerror or error}."


@contextmanager
def _serving(application: FastAPI, listening: socket.socket) -> Iterator[None]:
    server = make_server(application, grace_seconds=GRACE_SECONDS)
    thread = Thread(target=server.run, kwargs={"sockets": [listening]}, name="uvicorn")
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield
    finally:
        parts: Parts = application.state.parts
        parts.stopping.set()
        server.should_exit = True
        thread.join()


def _wait_until_started(server: uvicorn.Server, thread: Thread) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise CannotStart("The API did not start; the log above says why.")
        time.sleep(0.01)


def _take_back(settings: Settings, application: FastAPI) -> None:
    """What is still leased in a database of our own was leased by workers of a service that is no more."""
    if settings.database_url is not None or settings.broker_url is not None:
        return
    parts: Parts = application.state.parts
    now = time.time()
    for item in parts.records.held():
        log.info("taking %s back from a worker of an earlier run", item.id)
        parts.records.release(item.id, item.attempt, now)
    reap_once(parts.records, parts.queue, now=now, republish_seconds=0.0, look_seconds=0.0)


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
