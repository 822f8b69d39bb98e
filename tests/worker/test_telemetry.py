"""Nothing calls home: in the library, the worker and its children alike."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["worker.compression", "worker.child", "worker.runtimes"])
def test_telemetry_of_onnx_runtime_is_off_before_it_is_imported(module: str) -> None:
    code = f"import {module}, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    assert printed.stdout.strip() == "1"
