import errno
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from app.storage.records import QUEUES
from app.workers import Workers


def test_a_worker_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start, tried, started = subprocess.Popen, 0, 0

    def second_time_lucky(_command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        nonlocal tried, started
        tried += 1
        if tried == 1:
            raise BlockingIOError(errno.EAGAIN, "no process to be had")
        started += 1
        return start(["sleep", "60"], **options)

    monkeypatch.setattr("app.workers.subprocess.Popen", second_time_lucky)
    with Workers(Settings(data_dir=tmp_path)):
        deadline = time.monotonic() + 10
        while started < len(QUEUES) and time.monotonic() < deadline:
            time.sleep(0.02)
    assert started == len(QUEUES)
