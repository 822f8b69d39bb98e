"""The ONNX standard's own examples of every operator."""

import pickle
import warnings
from pathlib import Path
from typing import Any

from filelock import FileLock


def standard_cases(file: Path) -> list[Any]:
    """Those that have a model. Collecting takes seconds: who comes first does it, and leaves them in the file."""
    with FileLock(f"{file}.lock"):
        if not file.exists():
            file.write_bytes(pickle.dumps(_collected()))
    return list(pickle.loads(file.read_bytes()))


def _collected() -> list[Any]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [case for case in collect_testcases(None) if case.model]
