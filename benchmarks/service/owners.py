"""Whether the time of an answer tells what another owner has.

    ratio = median of one kind / median of the other, over 1,000 tries of each, one after the other

Compared are another's id with an unknown one, at every kind of record, and an upload of bytes that another owner has
already with one of bytes that nobody has. Held: the 95 % bootstrap interval of the ratio lies within ±5 %.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from secrets import token_bytes
from typing import Any

import httpx
import numpy as np

from app.settings import Settings
from app.storage.ids import new_id
from app.storage.open import open_blobs, open_records
from benchmarks.parts import Row
from tests.app.api.conftest import ONNX
from tests.support.facts import model_facts
from tests.support.owners import also, served_to
from tests.support.served import Served

TRIES = 1000
UPLOAD_BYTES = 256 * 1024
WITHIN = 0.05
HEAD = bytes([0x08, 10, 0x3A]) + bytes(
    [0x80 | UPLOAD_BYTES & 0x7F, 0x80 | UPLOAD_BYTES >> 7 & 0x7F, UPLOAD_BYTES >> 14]
)
"""ir_version 10, and a graph of so many bytes."""

Seconds = list[float]


def rows(folder: Path) -> Iterator[Row]:
    yield from ids(folder)
    yield from uploads(folder)


def ids(folder: Path) -> Iterator[Row]:
    with serving(folder / "ids") as (api, bob):
        model = api.http.post("/v1/models", content=ONNX).json()["id"]
        api.inspected(model, model_facts().model_dump())
        job = api.http.post(
            "/v1/jobs", json={"model": model, "recipe": {"steps": [{"kind": "float16"}]}}
        ).json()["id"]
        asked = [
            ("GET", "/v1/models/{}", model),
            ("GET", "/v1/models/{}/content", model),
            ("DELETE", "/v1/models/{}", model),
            ("GET", "/v1/jobs/{}", job),
            ("GET", "/v1/jobs/{}/logs", job),
            ("GET", "/v1/jobs/{}/artifact", job),
            ("POST", "/v1/jobs/{}/cancel", job),
        ]
        for method, path, id in asked:
            hers, nobodys = (partial(refused, bob, method, path.format(one)) for one in (id, new_id(id[:3])))
            yield compared(f"{method} {path.format('…')}", hers, nobodys)


def refused(bob: httpx.Client, method: str, address: str, number: int) -> None:
    assert bob.request(method, address).status_code == 404


def uploads(folder: Path) -> Iterator[Row]:
    with serving(folder / "uploads") as (api, bob):
        hers, nobodys = ([HEAD + token_bytes(UPLOAD_BYTES) for _ in range(TRIES)] for _ in range(2))
        for content in hers:
            assert api.http.post("/v1/models", content=content).status_code == 201

        def send(content: bytes) -> None:
            assert bob.post("/v1/models", content=content).status_code == 201

        what = f"upload of {UPLOAD_BYTES >> 10} KiB that another has"
        yield compared(what, lambda n: send(hers[n]), lambda n: send(nobodys[n]))


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Served, httpx.Client]]:
    """Ada's service, with keys, on SQLite and a local folder; and Bob's client."""
    folder.mkdir()
    chosen = Settings(data_dir=folder)
    stores = {"records": open_records(chosen), "blobs": open_blobs(chosen)}
    with served_to("ada", folder, **stores) as api, also(api, "bob") as bob:
        yield api, bob


def compared(what: str, one: Callable[[int], None], other: Callable[[int], None]) -> Row:
    """Takes turns at which comes first."""
    times: tuple[Seconds, Seconds] = ([], [])
    for number in range(TRIES):
        pairs = ((one, times[0]), (other, times[1]))
        for ask, seconds in pairs if number % 2 else pairs[::-1]:
            began = time.perf_counter()
            ask(number)
            seconds.append(time.perf_counter() - began)
    first, second = (np.array(seconds) for seconds in times)
    low, high = interval(first, second)
    held = low >= -WITHIN and high <= WITHIN
    ratio = float(np.median(first) / np.median(second)) - 1
    medians = f"{np.median(first) * 1e3:.2f} and {np.median(second) * 1e3:.2f} ms"
    measured = f"{medians}: {ratio:+.1%} [{low:+.1%}, {high:+.1%}]"
    return Row("owners", what, f"within ±{WITHIN:.0%}", measured, held)


def interval(first: "np.ndarray[Any, Any]", second: "np.ndarray[Any, Any]") -> tuple[float, float]:
    """95 %, of the ratio of medians less 1, by resampling pairs."""
    drawn = np.random.default_rng(0).integers(0, len(first), (2000, len(first)))
    ratios = np.median(first[drawn], axis=1) / np.median(second[drawn], axis=1) - 1
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)
