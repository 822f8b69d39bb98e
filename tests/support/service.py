"""The service as its operator runs it: `winnow serve` in a process of its own, and whatever it started."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any

import psutil

from app.settings import Settings

START_SECONDS = 60.0
WINNOW = [sys.executable, "-c", "from winnow.cli import main; main()"]


class Service:
    """`winnow serve` on a free port with its data in `folder`. `variables` go into its environment.

    `under` is a command that starts it: a sandbox, another user.
    """

    def __init__(self, folder: Path, *options: str, under: Sequence[str] = (), **variables: Any) -> None:
        self.folder, self._options, self._under = folder, options, under
        given = {"WINNOW_WORKERS": 1, **variables}
        self._variables = {name: str(value) for name, value in given.items() if value is not None}
        self._process: subprocess.Popen[str] | None = None
        self._log = folder.parent / f"{folder.name}.log"
        self.url = ""

    @property
    def settings(self) -> Settings:
        return Settings(data_dir=self.folder)

    @property
    def main(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> "Service":
        """Returns when it says where it is."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._under, *WINNOW, "serve", "--port", "0", *self._options],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.url = _first_url(self._process, self._log)
        return self

    def stop(self) -> float:
        """SIGTERM; the seconds it took."""
        assert self._process is not None
        begun = time.monotonic()
        self._process.terminate()
        self._process.wait(60)
        return time.monotonic() - begun

    def kill(self) -> None:
        """SIGKILL to the API's process alone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def reap(self, seconds: float) -> None:
        """Take the exit code of what has ended, so that the system forgets it."""
        if self._process is not None:
            self._process.wait(seconds)

    def command(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Another `winnow` command on the same data."""
        with self._log.open("ab") as log:
            return subprocess.Popen([*WINNOW, *arguments], env=self._environment, stdout=log, stderr=log)

    def processes(self) -> list[psutil.Process]:
        """All that carry this service's folder in their environment, wherever they hang in the tree."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def workers(self, queue: str) -> list[psutil.Process]:
        """The Celery processes of a queue: parent and pool process."""
        return [p for p in self.processes() if f"-Q {queue}" in _command_line(p)]

    def children(self, id: str = "") -> list[psutil.Process]:
        """Guards and works (of one job)."""
        return [
            p
            for p in self.processes()
            if f"{id}" in _command_line(p) and " worker.child " in _command_line(p)
        ]

    def gone(self, seconds: float) -> list[psutil.Process]:
        """Wait until no process is left; what is still there after so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def _environment(self) -> dict[str, str]:
        root = Path(__file__).parents[2]
        base = {"PYTHONPATH": str(root), "WINNOW_DATA_DIR": str(self.folder), "PYTHONUNBUFFERED": "1"}
        return os.environ | base | self._variables

    def _is_ours(self, process: psutil.Process) -> bool:
        """One that has ended, and is not waited for, has no environment any more."""
        with suppress(OSError):
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
            return os.fsencode(self.folder) in environment and process.pid != os.getpid()
        return False


@contextmanager
def service(folder: Path, *options: str, under: Sequence[str] = (), **variables: Any) -> Iterator[Service]:
    """Running; at the end everything that is left of it is killed."""
    running = Service(folder, *options, under=under, **variables)
    try:
        yield running.start()
    finally:
        for process in running.processes():
            with suppress(psutil.Error):
                process.kill()
        running.reap(10)


def send(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _read(out: IO[str], lines: Queue[str]) -> None:
    """To its end, which comes with that of the last process that writes there."""
    with out:
        for line in out:
            lines.put(line)


def _first_url(process: "subprocess.Popen[str]", log: Path) -> str:
    lines: Queue[str] = Queue()
    assert process.stdout is not None
    threading.Thread(target=_read, args=[process.stdout, lines], daemon=True).start()
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(Empty):
            line = lines.get(timeout=0.1)
            if "http://" in line:
                return "http://" + line.split("http://")[1].split()[0]
        if process.poll() is not None:
            break
    raise RuntimeError(f"the service did not start:\n{log.read_text(errors='replace')[-3000:]}")
