"""What a job made, fetched from an API whose worker the test plays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.facts import dataset_facts, model_facts
from tests.support.owners import a_key_of, served_to
from tests.support.records import an_upload
from tests.support.served import Served, served
from winnow.client import Client, ServiceProblem
from winnow.contract.job import JobRequest

STEPS = {"finetune": [{"kind": "finetune"}], "float16": [{"kind": "float16"}]}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "data") as running:
        yield running


@pytest.fixture
def client(api: Served) -> Iterator[Client]:
    with Client(api.url) as client:
        yield client


def submitted(api: Served, client: Client, kind: str, **of: str) -> str:
    records = api.parts.records
    model, new = records.add_upload(an_upload(**of))
    data, _ = records.add_upload(an_upload("b" * 64, kind="dataset", format="npz", **of))
    if new:
        api.inspected(model.id, model_facts().model_dump())
        api.inspected(data.id, dataset_facts().model_dump())
    asked = {"model": model.id, "recipe": {"steps": STEPS[kind]}, "data": {"training": {"dataset": data.id}}}
    return client.submit(JobRequest.model_validate(asked)).id


def stored(api: Served, content: bytes) -> str:
    writer = api.parts.blobs.writer()
    writer.write(content)
    return writer.commit()[0]


def test_who_may_only_read_reads_the_page_that_is_there(tmp_path: Path) -> None:
    with served_to("ada", tmp_path) as api, Client(api.url, key=a_key_of(api, "ada", ["read"])) as reader:
        with Client(api.url, key=a_key_of(api, "ada")) as client:
            id = submitted(api, client, "float16", owner="ada")
        report = stored(api, b"{}")
        api.finish(id, state="succeeded", report_sha256=report, page_sha256=stored(api, b"<!doctype html>"))
        assert reader.report_page(id) == b"<!doctype html>"


def test_a_failed_training_gives_its_best_weights_and_its_curves(
    api: Served, client: Client, tmp_path: Path
) -> None:
    id = submitted(api, client, "finetune")
    made = {"artifact_sha256": stored(api, b"best"), "artifact_bytes": 4}
    curves = {"curves_sha256": stored(api, b"PK zip"), "curves_bytes": 6}
    api.finish(id, state="failed", **made, **curves)
    assert client.job(id).artifact is not None
    assert client.download(id, tmp_path) == tmp_path / f"{id}.onnx"
    assert (tmp_path / f"{id}.onnx").read_bytes() == b"best"
    assert client.download_curves(id, tmp_path) == tmp_path / f"{id}-curves.zip"
    assert client.download_curves(id, tmp_path / "new" / "c.zip").read_bytes() == b"PK zip"
    with pytest.raises(ServiceProblem) as caught:
        client.report(id)
    assert caught.value.code == "no_artifact"


def test_what_is_not_there_is_told_and_leaves_no_file(api: Served, client: Client, tmp_path: Path) -> None:
    trains, plain = submitted(api, client, "finetune"), submitted(api, client, "float16")
    for id, code in ((trains, "job_not_finished"), (plain, "no_artifact")):
        with pytest.raises(ServiceProblem) as caught:
            client.download_curves(id, tmp_path / "curves.zip")
        assert caught.value.code == code
    assert not (tmp_path / "curves.zip").exists()
