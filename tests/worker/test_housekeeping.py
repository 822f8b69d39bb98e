"""The reaper's turn comes, whatever else fails."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import Settings
from worker import housekeeping
from worker.housekeeping import Housekeeping
from worker.runtimes import installed_runtimes


class Enough(BaseException):
    pass


def test_the_reaper_has_its_turn_when_the_workers_own_record_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ValueError("no JSON")

    def reaped(*_: object, **__: object) -> None:
        raise Enough

    monkeypatch.setattr(housekeeping, "Presence", broken)
    monkeypatch.setattr(housekeeping, "reap_once", reaped)
    with pytest.raises(Enough):
        Housekeeping(Settings(data_dir=tmp_path), "wrk_1", ["cpu"], lambda _: None)._run()


def test_what_libraries_print_before_the_answer_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    run, code = subprocess.run, "print('A new version is there!'); print('{\"torch\": \"2\"}')"
    monkeypatch.setattr(subprocess, "run", lambda _, **how: run([sys.executable, "-c", code], **how))
    assert installed_runtimes.__wrapped__() == {"torch": "2"}
