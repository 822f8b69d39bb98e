"""Nothing calls home: in the library, the worker and its children alike."""

import os
import subprocess
import sys

import pytest

from worker import SILENT


@pytest.mark.parametrize("module", ["worker.compression", "worker.child", "worker.runtimes"])
def test_telemetry_of_libraries_is_off_before_they_are_imported(module: str) -> None:
    code = f"import {module}, os; print(*{{os.environ[name] for name in {SILENT}}})"
    environment = {name: value for name, value in os.environ.items() if name not in SILENT}
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    assert printed.stdout.strip() == "1"
