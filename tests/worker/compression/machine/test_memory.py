"""What is free is the machine's, or what is left of what the process was given."""

from pathlib import Path

import pytest

from worker.compression.machine import memory
from worker.compression.machine.memory import LIMIT_VARIABLE, free_bytes


@pytest.fixture(autouse=True)
def _a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1000 KiB are free, and 300 in use by this process."""
    for name, text in (
        ("MACHINE", "MemTotal: 9 kB\nMemAvailable: 1000 kB"),
        ("OWN", "RssAnon: 200 kB\nRssShmem: 100 kB"),
    ):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(memory, name, tmp_path / name)


@pytest.mark.parametrize(("given", "kib"), [("", 1000), (f"{2**40}", 1000), (f"{700 * 1024}", 400), ("1", 0)])
def test_the_least_of_both(monkeypatch: pytest.MonkeyPatch, given: str, kib: int) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, given)
    assert free_bytes() == kib * 1024


def test_without_proc_nothing_limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)
    monkeypatch.setattr(memory, "MACHINE", tmp_path / "none")
    assert free_bytes() > 2**60
