"""The service stands without what only a worker has."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path

HEAVY = {"torch", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "numpy", "sklearn", "scipy", "worker"}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY:
            raise ImportError(f"{name} is not for the service")

sys.meta_path.insert(0, Blocker())

from tests.support.served import served

with served(Path(sys.argv[1])) as api:
    assert api.http.get("/readyz").status_code == 200
    assert api.http.get("/openapi.json").status_code == 200
    assert api.http.post("/v1/models", content=bytes([8, 10, 0x3A, 4]) + b"grap").status_code == 201
    assert api.http.post("/v1/models", content=b"<html>").status_code == 415

import app.main, winnow.cli
assert not HEAVY & {name.split(".")[0] for name in sys.modules}
print("served")
"""


def test_the_service_runs_without_torch_onnx_and_numpy(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "served", done.stderr


def test_the_entry_point_reads_the_environment(tmp_path: Path) -> None:
    program = "import app.main; print(app.main.build().state.parts.settings.max_upload_bytes)"
    environment = {"WINNOW_DATA_DIR": str(tmp_path), "WINNOW_MAX_UPLOAD_BYTES": "123"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )
    assert done.stdout.strip() == "123", done.stderr
