"""1 GiB over connections that break off, to a service that is killed meanwhile.

The client sends it as it sends any large file. Three connections end after random shares of it, one without its answer,
and half-way the API gets SIGKILL and is started again. Beside it, in the same run: the same file undisturbed in parts,
and in one piece.
"""

import hashlib
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.parts import Row
from tests.support.cutting import Cut, cutting
from tests.support.service import Service
from tests.support.sockets import free_port
from winnow.client import Client, client

SIZE: Final = 2**30
MIB: Final = 2**20
MOST_AGAIN: Final = 0.05
"""Of the file, that may be sent twice: what was under way when something broke off."""
MOST_MEMORY: Final = 16
"""MiB by which the API may grow."""
SEED: Final = 0


def rows(folder: Path, size: int = SIZE) -> Iterator[Row]:
    """Undisturbed in one piece and in parts, then disturbed."""
    file = _model(folder, size)
    service = Service(folder / "var", "--no-workers", "--port", str(free_port())).start()
    try:
        yield _undisturbed(service, file, in_parts=False)
        yield _undisturbed(service, file, in_parts=True)
        yield _disturbed(service, file)
    finally:
        service.stop()


def _undisturbed(service: Service, file: Path, in_parts: bool) -> Row:
    large = client.LARGE
    client.LARGE = 0 if in_parts else sys.maxsize  # type: ignore[misc]
    memory = service.main.memory_info().rss
    try:
        with Client(service.url) as winnow:
            begun = time.monotonic()
            model = winnow.upload_model(file, wait=False)
            seconds = time.monotonic() - begun
            grown = (service.main.memory_info().rss - memory) / MIB
            winnow.delete_model(model.id)
    finally:
        client.LARGE = large  # type: ignore[misc]
    how = "in parts" if in_parts else "in one piece"
    rate = file.stat().st_size / MIB / seconds
    measured = f"{rate:.0f} MiB/s, API grew by {grown:.0f} MiB"
    return Row("interrupted", how, f"at most {MOST_MEMORY} MiB more memory", measured, grown <= MOST_MEMORY)


def _disturbed(service: Service, file: Path) -> Row:
    size, killed = file.stat().st_size, False
    shares = random.Random(SEED)
    cuts = [Cut(int(size * shares.uniform(0.05, 0.2)), mute) for mute in (False, True, False)]
    sent: list[list[int]] = []

    def kill_half_way(done: int, whole: int) -> None:
        nonlocal killed
        if not killed and done > whole / 2:
            killed = True
            service.kill()
            service.start()

    with cutting(service.url, cuts, sent) as url, Client(url) as winnow:
        begun = time.monotonic()
        model = winnow.upload_model(file, on_progress=kill_half_way, wait=False)
        seconds = time.monotonic() - begun
        arrived = hashlib.file_digest(_blob(service, model.sha256).open("rb"), "sha256").hexdigest()
    again = sum(one for [one] in sent) / size - 1
    whole = arrived == hashlib.file_digest(file.open("rb"), "sha256").hexdigest()
    state = "whole" if whole else "DAMAGED"
    measured = f"{state}, {len(sent)} connections, {seconds:.0f} s, {again:.1%} sent again, killed: {killed}"
    met = whole and killed and again <= MOST_AGAIN
    asked = f"whole, at most {MOST_AGAIN:.0%} sent again"
    return Row("interrupted", "in parts, connections cut, API killed", asked, measured, met)


def _blob(service: Service, sha256: str) -> Path:
    return service.settings.blobs_dir / sha256[:2] / sha256


def _model(folder: Path, size: int) -> Path:
    """What an upload looks into as a model: ir_version 10, and a graph of random bytes."""
    file = folder / "large.onnx"
    with file.open("wb") as out:
        out.write(bytes([0x08, 10, 0x3A]) + _varint(size))
        for _ in range(0, size, MIB):
            out.write(os.urandom(MIB))
    return file


def _varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])
