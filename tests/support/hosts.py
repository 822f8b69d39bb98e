"""Hosts that share nothing but a network: each in namespaces of its own, of processes, network, mounts and name.

    this machine   198.18.N.1 ── bridge ─┬─ 198.18.N.2   winnow serve; all that may be written is in memory
                                         └─ 198.18.N.3   likewise

The programs they run are this machine's, read-only. To kill a host is to kill all its processes; its disk goes with it.
Needs root, `unshare`, `setpriv`, `ip` and `iptables`: `why_no_hosts` says what is missing.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import httpx
import psutil

from tests.support.service import WINNOW

PORT = 8000
START_SECONDS = 180.0
KEY = "5f0c9e1b7a3d2846c0ffee1122334455667788aa"
DATA = Path("/tmp/winnow")
DISK_BYTES, FREE_BYTES = 256 * 2**20, 64 * 2**20
NAMESPACES = "unshare --fork --kill-child --pid --mount-proc --uts --mount"
NETWORKS = count()
BOOT = """
hostname "$0" && mount -o remount,bind,ro / || exit 1
for folder in /tmp /var/tmp /dev/shm; do mount -t tmpfs -o size=$DISK_BYTES none $folder || exit 1; done
printf %s "$WINNOW_KEY" > $WINNOW_ADMIN_KEY_FILE
while :; do "$@"; sleep 0.2; done
"""
"""The first process of a host, which starts its service again whenever that ends."""


def why_no_hosts() -> str | None:
    """What stands against hosts on this machine."""
    if os.geteuid() != 0:
        return "namespaces of one's own need root"
    missing = [name for name in ("unshare", "setpriv", "ip", "iptables") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run(
        [*NAMESPACES.split(), "--net", "true"], capture_output=True, check=False, text=True
    )
    return tried.stderr.strip() or None if tried.returncode else None


class Network:
    """`address` is where the hosts find what runs on this machine."""

    def __init__(self) -> None:
        which = next(NETWORKS)
        self.name, self._numbers = f"wn{os.getpid()}{which}", count(2)
        self._prefix = f"198.18.{(4 * os.getpid() + which) % 256}"
        self.address = f"{self._prefix}.1"
        run("ip", "link", "add", self.name, "type", "bridge")
        run("ip", "address", "add", f"{self.address}/24", "dev", self.name)
        run("ip", "link", "set", self.name, "up")

    @property
    def addresses(self) -> str:
        """Of all hosts, as a network."""
        return f"{self._prefix}.0/24"

    def join(self) -> tuple[str, str]:
        """Name and address of a new host's side, with an end of the same name on this machine's."""
        number = next(self._numbers)
        name, address = f"{self.name}h{number}", f"{self._prefix}.{number}"
        run("ip", "netns", "add", name)
        run(*f"ip link add {name} type veth peer name eth0 netns {name}".split())
        run("ip", "link", "set", name, "master", self.name, "up")
        inside = ("ip", "-n", name)
        run(*inside, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            run(*inside, "link", "set", device, "up")
        return name, address

    def close(self) -> None:
        run("ip", "link", "delete", self.name)


class Host:
    """A service on a network, on one core. `variables` go into its environment."""

    def __init__(self, network: Network, logs: Path, core: int, variables: Mapping[str, str]) -> None:
        self.name, self.address = network.join()
        self.core, self.url = core, f"http://{self.address}:{PORT}"
        self._log = logs / f"{self.name}.log"
        own = {
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DISK_BYTES": str(DISK_BYTES),
            "WINNOW_KEY": KEY,
            "WINNOW_ADMIN_KEY_FILE": "/tmp/admin.key",
            "WINNOW_AUTH": "keys",
            "WINNOW_HOST": self.address,
            "WINNOW_DATA_DIR": str(DATA),
            "WINNOW_KEEP_FREE_BYTES": str(FREE_BYTES),
            "WINNOW_WORKERS": "1",
        }
        place = f"setpriv --pdeathsig KILL ip netns exec {self.name} taskset --cpu-list {core}"
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *place.split(),
                    *NAMESPACES.split(),
                    "sh",
                    "-c",
                    BOOT,
                    self.name,
                    *WINNOW,
                    "serve",
                    "--port",
                    str(PORT),
                ],
                env=_without_ours(os.environ) | own | dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

        self._init = self._first()

    def _first(self) -> psutil.Process:
        """Of its processes; all others end with it."""
        deadline = time.monotonic() + START_SECONDS
        while not (children := psutil.Process(self._process.pid).children()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self._log.read_text(errors="replace")[-3000:])
            time.sleep(0.01)
        return children[0]

    @property
    def disk(self) -> Path:
        """Its data folder, as this machine can reach it."""
        return Path(f"/proc/{self._init.pid}/root{DATA}")

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.is_up():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self._log.read_text(errors="replace")[-3000:])
            time.sleep(0.1)

    def is_up(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/livez", timeout=2).status_code == 200
        return False

    def processes(self, pattern: str) -> list[psutil.Process]:
        """All that run there with this in their command line, the first to start first."""
        return sorted(self._processes(pattern), key=lambda process: process.pid)

    def _processes(self, pattern: str) -> Iterator[psutil.Process]:
        space = _process_space(self._init)
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                inside = _process_space(process) == space
                if inside and process != self._init and pattern in " ".join(process.cmdline()):
                    yield process

    def fill(self) -> None:
        """Until there is no room on its disk."""
        with suppress(OSError), (self.disk / "filler").open("ab", buffering=0) as file:
            while True:
                file.write(bytes(2**16))

    def free(self) -> None:
        (self.disk / "filler").unlink(missing_ok=True)

    def reset(self, seconds: float) -> None:
        """Break every connection, and refuse new ones for so long."""
        rules = [f"{chain} -p tcp -j REJECT --reject-with tcp-reset" for chain in ("INPUT", "OUTPUT")]
        iptables = ("ip", "netns", "exec", self.name, "iptables")
        for rule in rules:
            run(*iptables, "-I", *rule.split())
        time.sleep(seconds)
        for rule in rules:
            run(*iptables, "-D", *rule.split())

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Its cable is pulled for as long as the context lasts, and nobody is told."""
        run("ip", "link", "set", self.name, "down")
        yield
        run("ip", "link", "set", self.name, "up")

    def kill(self) -> None:
        """All of it, and for good, as when its power fails: nobody is told."""
        run("ip", "link", "set", self.name, "down")
        with suppress(psutil.Error):
            self._init.kill()
            self._init.wait(10)
        self._process.kill()
        self._process.wait()
        run("ip", "netns", "delete", self.name)


@contextmanager
def network() -> Iterator[Network]:
    made = Network()
    try:
        yield made
    finally:
        made.close()


def _without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """What is set for this machine's own is none of the hosts' settings."""
    return {name: value for name, value in environment.items() if not name.startswith("WINNOW_")}


def _process_space(process: psutil.Process) -> str:
    return str(Path(f"/proc/{process.pid}/ns/pid").readlink())


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
