import os
from typing import Any

import pytest

from tests.support.standard_cases import standard_cases as made


@pytest.fixture(scope="session")
def standard_cases(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The standard's examples, made once for all processes of a run."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    return made(tmp_path_factory.getbasetemp().parent / f"standard-cases-{run}")
