"""What stores records and bytes is full, read-only, gone or locked: every route that writes answers with a problem that
says so, `/readyz` is unavailable within two seconds, and all is well again when the store is."""

import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from app.storage import engine as engine_module
from app.storage.open import open_blobs, open_records
from tests.app.api.conftest import ONNX, zipped
from tests.support.facts import dataset_facts, model_facts
from tests.support.served import Served, served
from tests.support.small_disk import SmallDisk, small_disk

AWAY = {(503, "storage_unavailable"), (507, "disk_full")}


def request(model: str) -> dict[str, Any]:
    return {"model": model, "recipe": {"steps": [{"kind": "float16"}]}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "var"


@pytest.fixture
def api(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """On a real database and a real folder."""
    monkeypatch.setattr(engine_module, "BUSY_SECONDS", 1)
    settings = Settings(data_dir=data)
    with served(data, open_records(settings), open_blobs(settings)) as running:
        yield running


@pytest.fixture
def ids(api: Served) -> dict[str, str]:
    """A model and a dataset that are ready, and a job that waits."""
    model = str(api.http.post("/v1/models", content=ONNX).json()["id"])
    api.inspected(model, model_facts().model_dump())
    dataset = str(api.http.post("/v1/datasets", content=zipped({"x.npy": b"numbers"})).json()["id"])
    api.inspected(dataset, dataset_facts().model_dump())
    job = str(api.http.post("/v1/jobs", json=request(model)).json()["id"])
    return {"model": model, "dataset": dataset, "job": job}


def writing(http: httpx.Client, ids: dict[str, str]) -> dict[str, httpx.Response]:
    """One call to every route that writes records."""
    job, declaration = f"/v1/jobs/{ids['job']}", {"declaration": {"inputs": {"x": {"array": "x"}}}}
    return {
        "submit": http.post("/v1/jobs", json=request(ids["model"])),
        "cancel": http.post(f"{job}/cancel"),
        "retry": http.post(f"{job}/retry"),
        "delete a job": http.delete(job),
        "declare": http.patch(f"/v1/datasets/{ids['dataset']}", json=declaration),
        "delete a model": http.delete(f"/v1/models/{ids['model']}"),
        "delete a dataset": http.delete(f"/v1/datasets/{ids['dataset']}"),
        "upload a model": http.post("/v1/models", content=ONNX.replace(b"grap", b"GRAP")),
        "upload a dataset": http.post("/v1/datasets", content=zipped({"y.npy": b"more"})),
    }


def refused(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json().get("code")) in AWAY and "/" not in answer.json()[
        "detail"
    ].replace("/readyz", "")


def readiness(http: httpx.Client) -> tuple[int, dict[str, Any]]:
    begun = time.monotonic()
    answer = http.get("/readyz")
    assert time.monotonic() - begun < 3, "with room for a busy machine"
    return answer.status_code, answer.json()


def fresh(http: httpx.Client) -> tuple[int, dict[str, Any]]:
    """What `/readyz` finds now, not what it found a second ago."""
    time.sleep(1.1)
    return readiness(http)


def becomes_ready(http: httpx.Client) -> bool:
    return any(fresh(http)[0] == 200 for _ in range(10))


def assert_database_is_away(http: httpx.Client, ids: dict[str, str]) -> None:
    status, found = fresh(http)
    assert (status, found["status"], found["database"]) == (503, "unavailable", "unreachable")
    assert [name for name, answer in writing(http, ids).items() if not refused(answer)] == []
    assert http.get("/livez").status_code == 200


def test_a_database_that_was_deleted_takes_nothing(api: Served, ids: dict[str, str], data: Path) -> None:
    assert readiness(api.http)[0] == 200
    for file in data.glob("winnow.db*"):
        file.unlink()
    assert_database_is_away(api.http, ids)
    assert refused(api.http.get("/v1/jobs"))
    assert not (data / "winnow.db").exists(), "nobody made an empty one"


def test_a_database_that_was_restored_is_used_without_a_restart(
    api: Served, ids: dict[str, str], data: Path
) -> None:
    with sqlite3.connect(data / "winnow.db") as source, sqlite3.connect(data / "backup.db") as backup:
        source.backup(backup)
    later = api.http.post("/v1/jobs", json=request(ids["model"])).json()["id"]
    for file in data.glob("winnow.db*"):
        file.unlink()
    (data / "backup.db").rename(data / "winnow.db")
    assert becomes_ready(api.http)
    assert api.http.get(f"/v1/jobs/{ids['job']}").status_code == 200
    assert api.http.get(f"/v1/jobs/{later}").status_code == 404


def test_a_database_that_somebody_locks_is_told_and_works_again(
    api: Served, ids: dict[str, str], data: Path
) -> None:
    locker = sqlite3.connect(data / "winnow.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    assert_database_is_away(api.http, ids)
    locker.execute("ROLLBACK")
    locker.close()
    assert becomes_ready(api.http)
    assert api.http.post("/v1/jobs", json=request(ids["model"])).status_code == 202


def test_a_file_that_is_no_database_is_told(api: Served, ids: dict[str, str], data: Path) -> None:
    for file in data.glob("winnow.db*"):
        file.unlink()
    (data / "winnow.db").write_bytes(b"not a database, but longer than a header of one hundred bytes" * 9)
    assert_database_is_away(api.http, ids)


@pytest.mark.parametrize("what", ["blobs", "blobs/incoming"])
def test_bytes_that_have_no_folder_any_more_are_refused(
    api: Served, ids: dict[str, str], data: Path, what: str
) -> None:
    shutil.rmtree(data / what)
    (data / what).write_bytes(b"a file")
    status, found = fresh(api.http)
    assert (status, found["disk"], found["database"]) == (503, "unreachable", "ok")
    assert refused(api.http.post("/v1/models", content=ONNX + b"\x6a\x00"))
    assert api.http.post("/v1/jobs", json=request(ids["model"])).status_code == 202, "it needs no bytes"


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with small_disk(8 * 2**20) as made:
        yield made


def stored(disk: SmallDisk) -> dict[str, str]:
    """Put there where the service's disk can be seen."""
    command = [sys.executable, "-m", "tests.support.waiting_job", str(disk.service.folder)]
    return dict(json.loads(disk.inside(command)))


def at_once(send: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """The answers to as many requests as take more connections to the database than one."""
    with ThreadPoolExecutor(16) as pool:
        return [sent.result() for sent in [pool.submit(send) for _ in range(64)]]


@pytest.mark.integration
def test_a_disk_that_is_full_or_may_not_be_written_is_told_by_every_route(disk: SmallDisk) -> None:
    with httpx.Client(base_url=disk.service.url, timeout=60) as http:
        large = bytes([0x08, 10, 0x3A, 0x80, 0x80, 0x40]) + bytes(2**20)
        ids = stored(disk)
        disk.fill()
        answer = http.post("/v1/models", content=large)
        assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
        assert all(answer.status_code < 500 or refused(answer) for answer in writing(http, ids).values())
        assert fresh(http)[0] == 503
        disk.free()
        assert becomes_ready(http), readiness(http)
        assert http.post("/v1/jobs", json=request(ids["model"])).status_code == 202
        disk.allow_writing(False)
        answer = http.post("/v1/models", content=large)
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
        assert all(answer.status_code < 500 or refused(answer) for answer in writing(http, ids).values())
        assert fresh(http)[1]["disk"] == "unreachable"
        assert {answer.status_code for answer in at_once(lambda: http.get("/v1/jobs"))} == {200}
        disk.allow_writing(True)
        assert becomes_ready(http), readiness(http)
        assert http.post("/v1/models", content=large).status_code == 201
        writes = at_once(lambda: http.post("/v1/jobs", json=request(ids["model"])))
        assert {answer.status_code for answer in writes} == {202}, "also on connections made meanwhile"
