"""A training whose process is killed, on a host that never comes back: another goes on, as if nothing had happened."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.queue import MemoryQueue
from app.settings import Settings
from app.storage.engine import open_engine
from app.storage.migrate import migrate
from app.storage.records import LOCAL_OWNER, Job
from app.storage.sql import SqlRecords
from tests.support.buckets import on_server
from tests.support.digits import DECLARATION, EVALUATION, digits
from tests.support.in_process import InProcess
from tests.support.killed import KILLED_AFTER
from tests.support.records import a_job, an_upload
from tests.support.s3 import s3_server
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.runner import Runner

pytestmark = pytest.mark.integration

STEPS: list[dict[str, Any]] = [
    {"kind": "channel_pruning", "amount": 0.25},
    {"kind": "finetune", "steps": 16, "batch_size": 50, "learning_rate": 0.01},
]
TRAINED = (0, 300)


def test_another_host_goes_on_within_the_training_and_ends_with_the_same_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit by bit, with as many threads. What they share is a database and a bucket."""
    files = digits(tmp_path)
    engine = open_engine(f"sqlite:///{tmp_path / 'winnow.db'}")
    migrate(engine)
    records = SqlRecords(engine)
    with s3_server() as server:
        blobs = on_server(server, engine, monkeypatch)

        def host(name: str) -> Runner:
            settings = Settings(data_dir=tmp_path / name, blobs_url="s3://winnow")
            return Runner(settings, records, blobs, MemoryQueue(), child="tests.support.killed")

        uploads = [
            an_upload(blobs.put_file(file)[0], kind=kind, format=format, state="ready", **more)
            for kind, format, file, more in (
                ("model", "onnx", files.model, {}),
                ("dataset", "npz", files.data, {"declaration": DECLARATION.model_dump(mode="json")}),
            )
        ]
        for upload in uploads:
            records.add_upload(upload)
        model, dataset = uploads
        roles = {"training": TRAINED, "evaluation": EVALUATION}
        request = {
            "model": model.id,
            "recipe": {"steps": STEPS},
            "data": {role: {"dataset": dataset.id, "slice": rows} for role, rows in roles.items()},
            "evaluation": {"metric": "top1"},
            "benchmark": {"rounds": 9},
        }
        id = records.add_job(a_job(model, dataset, request=request), None)[0].id

        host("first").run(id)
        assert state(records, id).state == "queued"
        assert [c.slot for c in records.checkpoints(id)] == ["curves", "finished", "unfinished"]
        shutil.rmtree(tmp_path / "first")
        host("second").run(id)
        curves = blobs.open(str(state(records, id).curves_sha256))
        assert curves is not None
        with zipfile.ZipFile(curves) as archive:
            assert len(archive.namelist()) == 2, "the curve so far, and how it went on"

    job = state(records, id)
    assert job.state == "succeeded", job.problem
    told = [event.message for event in records.events(id, 0, 1000)]
    assert "Going on after step 1 of 2, finished before." in told
    assert f"Going on after step {KILLED_AFTER} of 16, where an earlier attempt ended." in told
    assert job.graph_sha256 == undisturbed(files.model, files.data, tmp_path / "undisturbed")
    engine.dispose()


def state(records: SqlRecords, id: str) -> Job:
    job = records.job(LOCAL_OWNER, id)
    assert job is not None
    return job


def undisturbed(model: Path, data: Path, out: Path) -> str:
    source, evaluation = (Source(data, DECLARATION, rows) for rows in (TRAINED, EVALUATION))
    options = Options(Evaluation(metric="top1"), benchmark=Benchmark(rounds=9), processes=InProcess())
    recipe = Recipe.model_validate({"steps": STEPS})
    report = compress(model, recipe, Data(training=source, evaluation=evaluation), out, options=options)
    return report.graph_sha256
