import os
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.support.standard_cases import standard_cases as made
from worker.compression.runtime.targets import is_installed

PORTABILITY: Final = "worker.compression.result.portability"
TIMING: Final = "worker.compression.measure.timing"
TIMED: Final = {"latency.ROUND_MS": 20.0, "latency.WARM_UP_MS": 30.0}
BRIEFLY: Final = 1.0
"""Milliseconds of each model in a round, and before the first, where no test looks at how fast one is."""


@pytest.fixture(scope="session")
def standard_cases(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The standard's examples, made once for all processes of a run."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    return made(tmp_path_factory.getbasetemp().parent / f"standard-cases-{run}")


@pytest.fixture(scope="module", autouse=True)
def _timed_briefly() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        for name in TIMED:
            patched.setattr(f"{TIMING}.{name}", BRIEFLY)
        yield


@pytest.fixture(scope="module", autouse=True)
def _openvino_untried() -> Iterator[None]:
    """As on a worker without it: loading each artifact with it takes longer than many a job of these tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(f"{PORTABILITY}.is_installed", lambda _: False)
        yield


@pytest.fixture
def openvino_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is installed."""
    monkeypatch.setattr(f"{PORTABILITY}.is_installed", is_installed)


@pytest.fixture
def fully_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are timed as long as by default."""
    for name, milliseconds in TIMED.items():
        monkeypatch.setattr(f"{TIMING}.{name}", milliseconds)


@pytest.fixture
def all_told(fully_timed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are told whatever else runs: for tests that ask for one."""
    for bound in (
        "disturbance.MAX_OTHERS_SHARE",
        "disturbance.MAX_WAITED_SHARE",
        "interleaved.MAX_TIMES_FASTEST",
        "interleaved.MAX_CONTROL_RATIO",
        "interleaved.MAX_INTERVAL_RATIO",
    ):
        monkeypatch.setattr(f"{TIMING}.{bound}", float("inf"))


@pytest.fixture
def none_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time is told in this process: every machine is too busy."""
    monkeypatch.setattr(f"{TIMING}.disturbance.MAX_OTHERS_SHARE", -1.0)
