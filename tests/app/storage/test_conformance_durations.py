"""The port `Durations`, as every store has to keep it."""

from dataclasses import replace

import pytest

from app.storage import memory, sql_durations
from app.storage.ports import Records
from app.storage.records import Duration

DURATION = Duration(
    job="job_1",
    kind="int8_static",
    operators="Conv,Gemm",
    seconds=1.5,
    macs=40_000_000,
    parameters=270_000,
    samples=512,
    epochs=1.0,
    memory_bytes=3 * 2**32,
    cpu="a CPU",
    finished_at=1000.0,
)


def test_what_a_part_took_comes_back_as_it_was_put(records: Records) -> None:
    unknown = replace(DURATION, kind="measure", macs=None)
    records.add_durations([DURATION, unknown])
    assert records.durations("int8_static", "Conv,Gemm", 10) == [DURATION]
    assert records.durations("measure", "Conv,Gemm", 10) == [unknown]


def test_only_the_same_kind_on_the_same_operators_is_told(records: Records) -> None:
    records.add_durations([replace(DURATION, operators="Conv"), replace(DURATION, kind="float16")])
    assert records.durations("int8_static", "Conv,Gemm", 10) == []


def test_the_newest_are_told_first_and_no_more_than_asked(records: Records) -> None:
    for second in range(3):
        records.add_durations([replace(DURATION, seconds=float(second))])
    assert [d.seconds for d in records.durations("int8_static", "Conv,Gemm", 2)] == [2.0, 1.0]


def test_nothing_to_add_changes_nothing(records: Records) -> None:
    records.add_durations([])
    assert records.durations("int8_static", "Conv,Gemm", 10) == []


def test_the_oldest_are_forgotten(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (memory, sql_durations):
        monkeypatch.setattr(module, "MAX_DURATIONS", 2)
    for second in range(3):
        records.add_durations([replace(DURATION, seconds=float(second))])
    assert [d.seconds for d in records.durations("int8_static", "Conv,Gemm", 9)] == [2.0, 1.0]
