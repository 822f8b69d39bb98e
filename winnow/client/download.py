"""A download that can break off and go on, and that is whole or not there.

The bytes gather in `.NAME.HASH.part` beside the target. Part files are named by the content, so what an
earlier try left is continued with `Range`, and two downloads of the same content write the same bytes to the
same places.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx

from winnow.client.errors import DamagedTransfer, ServiceUnreachable, UnusableFile
from winnow.client.files import OnProgress, sha256_of
from winnow.client.transport import Transport

TRIES: Final = 5
PAUSE: Final = 0.3
"""Seconds after the first failure, twice as many after the second, …"""


def download(
    transport: Transport,
    url: str,
    target: Path,
    sha256: str,
    size: int,
    on_progress: OnProgress | None = None,
    *,
    compressed: bool = False,
) -> Path:
    """Fetch `url` to `target`, replacing what is there only by a whole file with this SHA-256 and size in bytes.

    `compressed`: as zstd on the way, where the service has that. What broke off is continued without, since only the
    bytes as they are have ranges.

    Raises DamagedTransfer, UnusableFile, ServiceProblem, ServiceUnreachable.
    """
    part = target.with_name(f".{target.name}.{sha256[:16]}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _gather(transport, url, part, size, on_progress, compressed)
        _verify(part, sha256)
        part.replace(target)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise UnusableFile(f"{target} cannot be written: {error.strerror or error}") from error
    return target


def _gather(
    transport: Transport, url: str, part: Path, size: int, on_progress: OnProgress | None, compressed: bool
) -> None:
    """Ask for what is missing until nothing is. Given up after TRIES that brought nothing, one after the other."""
    part.touch()
    failures = 0
    while (before := part.stat().st_size) < size:
        try:
            _receive(transport, url, part, size, on_progress, compressed)
        except ServiceUnreachable:
            failures = 0 if part.stat().st_size > before else failures + 1
            if failures == TRIES:
                raise
            time.sleep(PAUSE * failures)
        else:
            return


def _receive(
    transport: Transport, url: str, part: Path, size: int, on_progress: OnProgress | None, compressed: bool
) -> None:
    start = part.stat().st_size
    coding = "zstd" if compressed and not start else "identity"
    headers = {"Accept-Encoding": coding} | ({"Range": f"bytes={start}-"} if start else {})
    with transport.stream(url, headers=headers) as response, part.open("r+b") as file:
        done = start if response.status_code == httpx.codes.PARTIAL_CONTENT else 0
        file.seek(done)
        for chunk in response.iter_bytes():
            file.write(chunk)
            done += len(chunk)
            if on_progress is not None:
                on_progress(done, size)


def _verify(part: Path, sha256: str) -> None:
    found = sha256_of(part)
    if found != sha256:
        part.unlink()
        raise DamagedTransfer(f"the download has SHA-256 {found}, but {sha256} was promised; try again")
