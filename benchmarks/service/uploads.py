"""A large file on its way in, beside what the disk and SHA-256 allow: three ways in turns, ratios of medians."""

import http.client
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import numpy as np

from benchmarks.parts import Row
from tests.support.service import Service, service

MIB = 2**20
SIZE_MIB = int(os.environ.get("WINNOW_BENCH_MIB", "1024"))
ROUNDS = 3
LEAST_RATIO = 0.6
MOST_GROWTH_MIB = 16
CHUNK = MIB
BOUNDARY = "winnow-bench-boundary"


def rows(folder: Path) -> Iterator[Row]:
    file = folder / "data.npy"
    with service(folder / "var", "--no-workers", WINNOW_LOG_LEVEL="ERROR") as api:
        raw_upload(api, made_file(file, 16, 0))  # a first small one: imports and pools are there afterwards
        before = own_bytes(api)
        ways: dict[str, Callable[[Path], None]] = {
            "cat | tee | sha256sum, sync": copied_by_hand,
            "raw": lambda path: raw_upload(api, path),
            "form": lambda path: form_upload(api, path),
        }
        rates: dict[str, list[float]] = {way: [] for way in ways}
        peak = before
        for number in range(ROUNDS):
            for offset, (way, upload) in enumerate(ways.items()):
                made_file(
                    file, SIZE_MIB, 1 + number * len(ways) + offset
                )  # known bytes would not be new ones
                begun = time.monotonic()
                upload(file)
                rates[way].append(SIZE_MIB / (time.monotonic() - begun))
                peak = max(peak, own_bytes(api))
                _emptied(folder / "var" / "blobs")
    by_hand, *ours = rates
    limit = statistics.median(rates[by_hand])
    for way in ours:
        rate = statistics.median(rates[way])
        yield Row(
            "uploads",
            f"{SIZE_MIB} MiB, {way}",
            f"≥ {LEAST_RATIO} of by hand",
            f"{rate:.0f} MiB/s beside {limit:.0f}: {rate / limit:.2f}",
            rate / limit >= LEAST_RATIO,
        )
    growth = (peak - before) / MIB
    yield Row(
        "uploads",
        "memory of the API",
        f"≤ {MOST_GROWTH_MIB} MiB more",
        f"{growth:.1f} MiB more",
        growth <= MOST_GROWTH_MIB,
    )


def copied_by_hand(file: Path) -> None:
    copy = file.with_suffix(".copy")
    subprocess.run(
        ["bash", "-c", f"cat '{file}' | tee '{copy}' | sha256sum && sync '{copy}'"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    copy.unlink()


def raw_upload(api: Service, file: Path) -> None:
    with file.open("rb") as body:
        _post(api, "application/octet-stream", [body], file.stat().st_size)


def form_upload(api: Service, file: Path) -> None:
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="data.npy"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    with file.open("rb") as body:
        size = len(head) + file.stat().st_size + len(tail)
        _post(api, f"multipart/form-data; boundary={BOUNDARY}", [head, body, tail], size)


def _post(api: Service, content_type: str, parts: list[bytes | BinaryIO], size: int) -> None:
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=600)
    connection.putrequest("POST", "/v1/datasets?name=bench")
    connection.putheader("content-type", content_type)
    connection.putheader("content-length", str(size))
    connection.endheaders()
    for part in parts:
        if isinstance(part, bytes):
            connection.send(part)
        else:
            connection.sock.sendfile(part)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 201:
        raise SystemExit(f"{answer.status}: {text[:500]!r}")


def own_bytes(api: Service) -> int:
    """What its process holds of its own: neither files mapped nor pages shared."""
    held = api.main.memory_info()
    return int(held.rss - held.shared)


def made_file(file: Path, mebibytes: int, seed: int) -> Path:
    """Make an array in NumPy's own format, of other bytes for each seed, on the disk."""
    array = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=(mebibytes, MIB))
    noise = np.random.default_rng(seed).integers(0, 256, MIB, dtype=np.uint8)
    for row in range(mebibytes):
        array[row] = np.roll(noise, row)
    array.flush()
    del array
    os.sync()
    return file


def _emptied(folder: Path) -> None:
    """Room for the next, on which the uploads' records do not depend here."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > MIB:
            path.unlink()
