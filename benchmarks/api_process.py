"""The API in a process of its own, without workers: on a core of its own, where that is asked."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

import httpx2 as httpx
import psutil

SERVE = """
import sys
from app.main import build
from app.server.make import make_server
from app.server.limits import raise_descriptor_limit
import socket
raise_descriptor_limit()
listening = socket.socket(fileno=int(sys.argv[1]))
make_server(build(), grace_seconds=2).run(sockets=[listening])
"""
START_SECONDS = 60


@dataclass(frozen=True)
class Api:
    """`port` on loopback; `process` is the server's."""

    port: int
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def anonymous_bytes(self) -> int:
        """What it holds of its own: neither files mapped nor pages shared."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) * 1024


@contextmanager
def api_process(folder: Path, core: int | None = None, **settings: object) -> Iterator[Api]:
    """Listening when this returns. `settings` are `WINNOW_*` variables, without the prefix."""
    variables = {f"WINNOW_{name.upper()}": str(value) for name, value in settings.items()}
    environment = os.environ | {"WINNOW_DATA_DIR": str(folder), "WINNOW_LOG_LEVEL": "ERROR"} | variables
    with socket() as listening:
        listening.bind(("127.0.0.1", 0))
        descriptor = listening.fileno()
        command = [sys.executable, "-c", SERVE, str(descriptor)]
        server = subprocess.Popen(command, env=environment, pass_fds=[descriptor])
        try:
            api = Api(listening.getsockname()[1], psutil.Process(server.pid))
            if core is not None:
                api.process.cpu_affinity([core])
            _wait_until_ready(api, server)
            yield api
        finally:
            server.terminate()
            server.wait()


def _wait_until_ready(api: Api, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            httpx.get(f"{api.url}/healthz", timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("the API did not start; what it said is above")
