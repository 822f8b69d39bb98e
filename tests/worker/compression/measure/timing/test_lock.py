import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from winnow.contract.errors import Refusal
from worker.compression.measure.timing.lock import WAIT_VARIABLE, measuring
from worker.compression.measure.timing.lock_file import PATH_VARIABLE, lock_path
from worker.compression.progress import Silent

HOLD = """
import sys
from worker.compression.measure.timing.lock import measuring
from worker.compression.progress import Silent
with measuring(Silent()):
    print("held", flush=True)
    sys.stdin.read()
"""


class Heard(Silent):
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.said = threading.Event()

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        self.messages.append(message)
        self.said.set()


def test_a_second_measurement_waits_for_the_first_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "lock"))
    heard, entered = Heard(), threading.Event()

    def second() -> None:
        with measuring(heard):
            entered.set()

    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        thread = threading.Thread(target=second)
        thread.start()
        assert heard.said.wait(30)
        assert [message.split(",")[0] for message in heard.messages] == ["waiting for the measuring lock"]
        assert not entered.is_set()
        first.communicate(b"")
    assert entered.wait(30)
    thread.join()


def test_a_wait_ends_with_a_word_after_the_time_that_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "lock"))
    monkeypatch.setenv(WAIT_VARIABLE, "0.2")
    heard = Heard()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(Refusal) as refused, measuring(heard):
            pass
        first.communicate(b"")
    assert refused.value.problem.code == "measuring_busy"
    assert "0.2 s" in refused.value.problem.detail
    assert heard.messages[0].startswith("waiting for the measuring lock, 0.2 s at most")
    with measuring(heard):
        pass


def test_no_other_user_may_take_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "folder" / "lock"))
    with measuring(Silent()):
        assert stat.S_IMODE((tmp_path / "folder" / "lock").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700


def test_by_itself_it_lies_where_others_do_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert lock_path() == tmp_path / ".cache" / "winnow" / "measure.lock"


def test_without_a_lock_file_it_goes_on_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "file" / "lock"))
    heard = Heard()
    with measuring(heard):
        pass
    assert [m.split(" (")[0] for m in heard.messages] == ["measuring without the machine's lock"]
