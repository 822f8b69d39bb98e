"""The service in a process of its own: it stands without what only a worker has, and reads its environment."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

HEAVY = {"torch", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "numpy", "sklearn", "scipy", "worker"}
PROGRAM = f"""
import json, sys
from pathlib import Path

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ImportError(f"{{name}} is not for the service")

sys.meta_path.insert(0, Blocker())

from tests.support.served import served

with served(Path(sys.argv[1])) as api:
    answers = [
        api.http.get("/readyz"),
        api.http.get("/openapi.json"),
        api.http.post("/v1/models", content=bytes([8, 10, 0x3A, 4]) + b"grap"),
        api.http.post("/v1/models", content=b"<html>"),
    ]

import app.main, winnow.cli
built = app.main.build().state.parts.settings
print(json.dumps({{
    "statuses": [answer.status_code for answer in answers],
    "modules": [*sys.modules],
    "max_upload_bytes": built.max_upload_bytes,
}}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("main")
    environment = os.environ | {"WINNOW_DATA_DIR": str(folder / "built"), "WINNOW_MAX_UPLOAD_BYTES": "123"}
    command = [sys.executable, "-c", PROGRAM, str(folder / "served")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_service_runs_without_torch_onnx_and_numpy(told: dict[str, Any]) -> None:
    assert told["statuses"] == [200, 200, 201, 415]
    assert not HEAVY & {name.split(".")[0] for name in told["modules"]}


def test_the_entry_point_reads_the_environment(told: dict[str, Any]) -> None:
    assert told["max_upload_bytes"] == 123


def test_nothing_of_tracing_is_imported_unless_it_is_said_whereto(told: dict[str, Any]) -> None:
    """redis looks for the interface by itself."""
    heavy = ("opentelemetry.sdk", "opentelemetry.exporter")
    assert [name for name in told["modules"] if name.startswith(heavy)] == []
