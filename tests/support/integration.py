"""Real servers for tests: found on this machine, else the test is skipped, or fails where they are required."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def binary(name: str, *folders: str) -> str:
    """Where a program is: on PATH or in one of the folders (shell patterns, newest version first)."""
    places = [
        str(found) for folder in folders for found in sorted(Path("/").glob(folder.lstrip("/")), reverse=True)
    ]
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        _missing(f"{name} is not installed")
    return found


def _missing(reason: str) -> NoReturn:
    if os.environ.get("WINNOW_REQUIRE_INTEGRATION") == "1":
        pytest.fail(f"{reason}, and WINNOW_REQUIRE_INTEGRATION=1 says it has to be")
    pytest.skip(reason)
