"""What one owner may take: requests, bytes and jobs; and what stays free of the disk."""

import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.api.conftest import ONNX
from tests.app.api.test_jobs import succeed
from tests.support.facts import model_facts
from tests.support.owners import also, ask, served_to
from tests.support.served import Served

HALF: dict[str, Any] = {"steps": [{"kind": "float16"}]}


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["code"])


def ready(api: Served) -> str:
    id = str(api.http.post("/v1/models", content=ONNX).json()["id"])
    api.inspected(id, model_facts().model_dump())
    return id


def test_requests_are_counted_for_each_owner(tmp_path: Path) -> None:
    with served_to("ada", tmp_path, requests_per_minute=3) as api, also(api, "bob") as bob:
        assert [api.http.get("/v1/presets").status_code for _ in range(3)] == [200] * 3
        refused = api.http.get("/v1/presets")
        assert code(refused) == (429, "too_many_requests")
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert "WINNOW_REQUESTS_PER_MINUTE" in refused.json()["detail"]
        assert bob.get("/v1/limits").json()["requests_per_minute"] == 3
        assert ask(api, "GET", "/livez").status_code == 200


def test_stored_bytes_are_bounded_for_each_owner(tmp_path: Path) -> None:
    room = 2 * len(ONNX)
    with served_to("ada", tmp_path, max_stored_bytes=room) as api, also(api, "bob") as bob:
        assert api.http.post("/v1/models", content=ONNX).status_code == 201
        assert code(api.http.post("/v1/models", content=ONNX + bytes(len(ONNX)))) == (507, "quota_exceeded")
        unsized = iter([ONNX, bytes(len(ONNX))])
        assert code(api.http.post("/v1/models", content=unsized)) == (507, "quota_exceeded")
        assert bob.post("/v1/models", content=ONNX).status_code == 201
        exactly = ONNX.replace(b"grap", b"GRAP")
        other = api.http.post("/v1/models", content=exactly)
        assert other.status_code == 201
        job = api.http.post("/v1/jobs", json={"model": other.json()["id"], "recipe": HALF})
        assert code(job) == (507, "quota_exceeded")
        assert api.http.delete(f"/v1/models/{other.json()['id']}").status_code == 204
        assert api.http.post("/v1/models", content=exactly).status_code == 201


def test_unfinished_jobs_are_bounded_for_each_owner(tmp_path: Path) -> None:
    with served_to("ada", tmp_path, max_open_jobs=2) as api:
        asked = {"model": ready(api), "recipe": HALF}
        headers = {"Idempotency-Key": "first"}
        first = api.http.post("/v1/jobs", json=asked, headers=headers).json()["id"]
        second = api.http.post("/v1/jobs", json=asked).json()["id"]
        refused = api.http.post("/v1/jobs", json=asked)
        assert code(refused) == (429, "too_many_jobs")
        assert int(refused.headers["retry-after"]) > 0
        dry = api.http.post("/v1/jobs?dry_run=true", json=asked).json()
        assert (dry["fits"], dry["problems"][0]["code"]) == (False, "too_many_jobs")
        again = api.http.post("/v1/jobs", json=asked, headers=headers)
        assert again.json()["id"] == first, "it is no new one"
        succeed(api, first)
        assert api.http.post(f"/v1/jobs/{second}/cancel").status_code == 202
        assert [api.http.post("/v1/jobs", json=asked).status_code for _ in range(2)] == [202, 202]
        assert code(api.http.post(f"/v1/jobs/{second}/retry")) == (429, "too_many_jobs")


def test_the_disk_keeps_its_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served_to("ada", tmp_path, keep_free_bytes=2**20) as api:
        model = ready(api)
        asked = {"model": model, "recipe": HALF}
        real = shutil.disk_usage(tmp_path)
        monkeypatch.setattr("app.api.quotas.shutil.disk_usage", lambda _: real._replace(free=2**20 + 100))
        assert api.http.post("/v1/jobs", json=asked).status_code == 202
        full = api.http.post("/v1/models", content=ONNX + bytes(200))
        assert code(full) == (507, "disk_full")
        assert "WINNOW_KEEP_FREE_BYTES" in full.json()["detail"]
        monkeypatch.setattr("app.api.quotas.shutil.disk_usage", lambda _: real._replace(free=2**20 - 1))
        assert code(api.http.post("/v1/models", content=iter([ONNX, bytes(200)]))) == (507, "disk_full")
        assert code(api.http.post("/v1/jobs", json=asked)) == (507, "disk_full")
        assert api.http.get(f"/v1/models/{model}").status_code == 200


def test_the_bounds_are_told(tmp_path: Path) -> None:
    with served_to("ada", tmp_path, max_stored_bytes=10, max_open_jobs=2) as api:
        told = api.http.get("/v1/limits").json()
        assert (told["max_stored_bytes"], told["max_open_jobs"], told["requests_per_minute"]) == (10, 2, None)
