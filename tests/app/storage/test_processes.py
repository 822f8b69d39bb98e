"""Several processes at one database: every claim has one winner."""

from concurrent.futures import ProcessPoolExecutor

from sqlalchemy import Engine

from app.storage.records import JobFilter, Page
from app.storage.sql import SqlRecords
from tests.support.records import a_job, an_upload, claim_in_process

PROCESSES, JOBS = 4, 40


def test_of_many_processes_one_wins_each_claim(engine: Engine, processes: ProcessPoolExecutor) -> None:
    records = SqlRecords(engine)
    model, _ = records.add_upload(an_upload())
    ids = [records.add_job(a_job(model), None)[0].id for _ in range(JOBS)]
    url = engine.url.render_as_string(hide_password=False)
    answers = processes.map(claim_in_process, [url] * PROCESSES, [ids] * PROCESSES, [1000.0] * PROCESSES)
    won = [claim for answer in answers for claim in answer]
    assert sorted(won) == sorted((id, 1) for id in ids)
    running = records.jobs("local", JobFilter(state="running"), Page(limit=100))
    assert {job.attempt for job in running} == {1}
    assert len(running) == JOBS
