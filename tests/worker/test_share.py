import time
from typing import Any

import pytest

from app.settings import Settings
from app.storage.memory import MemoryRecords
from tests.support.records import a_worker
from worker import share
from worker.presence import HOST
from worker.share import own_threads


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "usable_cores", lambda: 8)


@pytest.mark.parametrize(
    ("beside", "threads"),
    [
        ([], 8),
        ([{}], 8),
        ([{}, {}], 4),
        ([{}, {}, {}], 2),
        ([{}] * 9, 1),
        ([{}, {"host": "another"}, {"queues": ("inspect",)}, {"last_seen": time.time() - 300}], 8),
    ],
    ids=["not seen yet", "alone", "two", "three", "more than cores", "others, and no jobs"],
)
def test_the_cores_are_shared_by_the_workers_for_jobs_of_this_host(
    beside: list[dict[str, Any]], threads: int
) -> None:
    records = MemoryRecords()
    for fields in beside:
        records.worker_seen(a_worker(**{"host": HOST, "started_at": time.time() - 900, **fields}), 0.0)
    assert own_threads(Settings(), records) == threads


def test_the_operator_says_how_many() -> None:
    assert own_threads(Settings(threads=3), MemoryRecords()) == 3
