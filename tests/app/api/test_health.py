"""Alive, ready, degraded, unavailable."""

from pathlib import Path

from app.queue import MemoryQueue
from app.storage.memory import MemoryRecords
from app.storage.memory_blobs import MemoryBlobs
from tests.support.served import Served, served


class Away(MemoryRecords):
    def ping(self) -> None:
        raise ConnectionError("secret host")


class NoBroker(MemoryQueue):
    def ping(self) -> bool:
        return False


class FullDisk(MemoryBlobs):
    def ping(self) -> None:
        raise OSError("read-only file system")


def test_all_is_well(api: Served) -> None:
    assert api.http.get("/livez").json() == {"status": "ok"}
    answer = api.http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")


def test_without_its_broker_it_is_degraded_and_works(tmp_path: Path, onnx: bytes) -> None:
    with served(tmp_path, queue=NoBroker()) as api:
        answer = api.http.get("/readyz")
        assert (answer.status_code, answer.json()["status"], answer.json()["broker"]) == (
            200,
            "degraded",
            "unreachable",
        )
        assert api.http.post("/v1/models", content=onnx).status_code == 201


def test_without_its_database_it_is_not_ready_but_alive(tmp_path: Path) -> None:
    with served(tmp_path, records=Away()) as api:
        answer = api.http.get("/readyz")
        assert (answer.status_code, answer.json()["status"], answer.json()["database"]) == (
            503,
            "unavailable",
            "unreachable",
        )
        assert "secret" not in answer.text
        assert api.http.get("/livez").status_code == 200


def test_without_its_disk_it_is_not_ready(tmp_path: Path) -> None:
    with served(tmp_path, blobs=FullDisk()) as api:
        answer = api.http.get("/readyz")
        assert (answer.status_code, answer.json()["disk"]) == (503, "unreachable")
