"""Which runtimes a worker says it has."""

import functools
import subprocess
import sys

import pytest

from worker import runtimes
from worker.runtimes import installed_runtimes


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "_looked_up", functools.cache(runtimes._looked_up.__wrapped__))


def _printing(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run
    monkeypatch.setattr(runtimes.subprocess, "run", lambda _, **how: run([sys.executable, "-c", code], **how))


def test_what_libraries_print_before_the_answer_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    _printing("print('A new version is there!'); print('{\"torch\": \"2\"}')", monkeypatch)
    assert installed_runtimes() == {"torch": "2"}


def test_what_cannot_be_found_out_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as failing:
        _printing("raise SystemExit(1)", failing)
        assert installed_runtimes() == {}
    _printing('print(\'{"torch": "2"}\')', monkeypatch)
    assert installed_runtimes() == {"torch": "2"}
