"""The reaper's turn comes, whatever else fails."""

from pathlib import Path

import pytest

from app.settings import Settings
from worker import housekeeping
from worker.housekeeping import Housekeeping


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
