"""A service whose data lies on a small disk of its own, which can be filled, and whose user is not root."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.service import Service, service

MOUNT = 'mount -t tmpfs -o size=%d,mode=777 none "$0" && exec setpriv --reuid 65534 --clear-groups "$@"'


VARIABLES = {"PYTHONDONTWRITEBYTECODE": 1, "WINNOW_KEEP_FREE_BYTES": 0}
"""The whole disk is smaller than what stays free elsewhere."""


@dataclass(frozen=True)
class SmallDisk:
    """`folder` is the service's data folder as this process can reach it."""

    service: Service
    folder: Path

    def inside(self, command: list[str]) -> str:
        """What a command prints that sees this disk."""
        enter = ["nsenter", "-t", str(self.service.main.pid), "-m", *command]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.run(enter, capture_output=True, check=True, env=environment, text=True).stdout

    def fill(self) -> None:
        with suppress(OSError), (self.folder / "filler").open("ab", buffering=0) as file:
            while True:
                file.write(bytes(2**12))

    def free(self) -> None:
        (self.folder / "filler").unlink()

    def allow_writing(self, allowed: bool) -> None:
        """To all folders and files of the data folder, for the service's user."""
        for path in (self.folder, *self.folder.rglob("*")):
            if path.is_dir():
                path.chmod(0o755 if allowed else 0o555)
            elif path.suffix != "" and path.name.startswith("winnow.db"):
                path.chmod(0o644 if allowed else 0o444)


@contextmanager
def small_disk(size: int) -> Iterator[SmallDisk]:
    """In a mount namespace: nothing of it is left afterwards. Skips where it may not be made."""
    program = shutil.which("unshare"), shutil.which("setpriv")
    if os.geteuid() != 0 or None in program:
        pytest.skip("a disk of one's own needs root, unshare and setpriv")
    with tempfile.TemporaryDirectory(
        prefix="winnow-disk-"
    ) as name:  # pytest's own can be entered by root alone
        (folder := Path(name)).chmod(0o755)
        under = ["unshare", "-m", "sh", "-c", MOUNT % size, name]
        if subprocess.run([*under, "true"], capture_output=True, check=False).returncode != 0:
            pytest.skip("no file system may be mounted here")
        with service(folder / "var", "--no-workers", under=under, **VARIABLES) as running:
            inside = Path(f"/proc/{running.main.pid}/root") / str(folder / "var").lstrip("/")
            yield SmallDisk(running, inside)
