"""The whole service with its blobs in a bucket, which goes away and comes back."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import onnx
import onnxruntime as ort
import pytest

from tests.support.digits import DECLARATION, Digits, digits
from tests.support.s3 import BUCKET, S3Server, s3_server
from tests.support.service import service
from winnow.client import Client
from winnow.client.errors import ServiceProblem
from winnow.contract.job import JobRequest

pytestmark = pytest.mark.integration


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def files(tmp_path: Path) -> Digits:
    return digits(tmp_path)


def a_job(model: str, dataset: str) -> JobRequest:
    return JobRequest.model_validate(
        {
            "model": model,
            "recipe": {"steps": [{"kind": "float16"}]},
            "data": {"evaluation": {"dataset": dataset, "slice": [1500, 1797]}},
            "evaluation": {"metric": "top1"},
            "benchmark": {"rounds": 9},
        }
    )


def test_all_that_is_accepted_goes_through_the_bucket_and_outlives_its_absence(
    s3: S3Server, files: Digits, tmp_path: Path
) -> None:
    """Nothing but copies lies in the folder of the service; downloads come from the bucket itself."""
    variables = {"WINNOW_BLOBS_URL": f"s3://{BUCKET}/all", "WINNOW_BLOB_REDIRECT": True}
    variables |= {"WINNOW_REPUBLISH_SECONDS": 2, **s3.environment}
    with service(tmp_path / "var", **variables) as running, Client(running.url) as winnow:
        model = winnow.upload_model(files.model).id
        dataset = winnow.upload_dataset(files.data, DECLARATION).id
        s3.kill()
        with pytest.raises(ServiceProblem) as refused:
            winnow.upload_model(_changed(files.model, tmp_path / "other.onnx"))
        assert refused.value.problem.code == "storage_unavailable"
        assert httpx.get(f"{running.url}/readyz").json()["status"] == "unavailable"
        waiting = winnow.submit(a_job(model, dataset))
        s3.start()
        job = winnow.wait(waiting.id)
        assert job.state == "succeeded", job.problem
        artifact = winnow.download(job.id, tmp_path / "small.onnx")
        assert ort.InferenceSession(str(artifact), providers=["CPUExecutionProvider"]).get_outputs()
        assert winnow.report(job.id).quality[0].metric == "top1"
    assert not (tmp_path / "var" / "blobs").exists()
    assert list((tmp_path / "var" / "cache").glob("*/content"))


def _changed(model: Path, path: Path) -> Path:
    other = onnx.load(str(model))
    other.doc_string = "another"
    onnx.save(other, str(path))
    return path
