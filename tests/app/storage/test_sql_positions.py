"""What is kept between two questions for positions."""

import pytest
from sqlalchemy import Engine

from app.storage import sql_positions
from app.storage.sql import SqlRecords
from tests.support.records import a_job, an_upload


def test_what_an_owner_does_is_seen_at_once_and_what_others_do_a_moment_later(engine: Engine) -> None:
    records = SqlRecords(engine, kept_seconds=3600.0)

    def added(owner: str, created_at: float) -> str:
        model, _ = records.add_upload(an_upload(owner=owner, state="ready"))
        return records.add_job(a_job(model, owner=owner, created_at=created_at), None)[0].id

    first = added("a", 1.0)
    assert records.queue_position(first) == 1
    second, other = added("a", 2.0), added("b", 3.0)
    assert records.queue_position(second) == 2
    assert records.queue_position(other) == 2
    assert records.queue_positions([first, second]) == {first: 1, second: 3}
    records.cancel_job("a", first, 4.0)
    assert records.queue_position(second) == 1
    assert records.queue_position(other) == 2


def test_what_is_kept_of_ever_other_needs_is_bounded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_positions, "MOST_KEPT", 3)
    records = SqlRecords(engine, kept_seconds=3600.0)
    model, _ = records.add_upload(an_upload(owner="a", state="ready"))
    for number in range(8):
        job, _ = records.add_job(a_job(model, owner="a", needs=(f"lab{number}",)), None)
        assert records.queue_position(job.id) == 1
        assert len(records._kept) <= 3
