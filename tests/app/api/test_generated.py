"""Requests generated from the OpenAPI document: a short run of what `make bench-hostile` does at length."""

import json
from pathlib import Path

from app.api.openapi import corpus
from app.settings import Settings
from app.storage.open import open_blobs, open_records
from tests.app.api.conftest import ONNX, zipped
from tests.app.api.test_jobs import STEPS, stored
from tests.support.facts import dataset_facts, model_facts
from tests.support.generated import Target, run
from tests.support.owners import a_key_of, served_to
from tests.support.served import Served


def made(api: Served) -> Target:
    """A model and a dataset that are ready, a job that succeeded, and one that waits."""
    model = api.http.post("/v1/models", content=ONNX).json()["id"]
    api.inspected(model, model_facts().model_dump())
    dataset = api.http.post("/v1/datasets", content=zipped({"x.npy": b"numbers"})).json()["id"]
    api.inspected(dataset, dataset_facts().model_dump())
    request = {"model": model, "recipe": STEPS, "data": {"evaluation": {"dataset": dataset}}}
    jobs = [api.http.post("/v1/jobs", json=request).json()["id"] for _ in range(2)]
    report = stored(api, json.dumps(corpus()["Report"][0]).encode())
    finished = {"state": "succeeded", "outcome": "accepted", "report_sha256": report}
    api.finish(jobs[0], **finished, artifact_sha256=stored(api, b"small"), artifact_bytes=5)
    return Target(api.url, [model], [dataset], jobs, a_key_of(api, "ada"))


def test_no_generated_request_is_answered_against_the_document(tmp_path: Path) -> None:
    chosen = Settings(data_dir=tmp_path)
    stores = {"records": open_records(chosen), "blobs": open_blobs(chosen)}
    with served_to("ada", tmp_path, **stores) as api:
        outcome = run(made(api), tmp_path / "run", 1, "--phases", "fuzzing,stateful", "--max-examples", "2")
        operations = {
            operation["operationId"]
            for methods in api.http.get("/openapi.json").json()["paths"].values()
            for operation in methods.values()
        }
    assert outcome.failures == [], outcome.text
    assert outcome.cases > 100
    assert {name.split()[0] for name in outcome.answers} == operations
