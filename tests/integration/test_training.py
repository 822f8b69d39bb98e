"""The steps that train, through the whole service: uploads over HTTP, a worker, artifact, report and curves."""

import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import onnxruntime as ort
import pytest

from tests.support.digits import DECLARATION, digits
from tests.support.service import Service
from winnow.client import Client
from winnow.client.errors import JobFailed, ServiceProblem
from winnow.contract.job import Job, JobRequest

pytestmark = pytest.mark.integration

QUICK = {"epochs": 1, "batch_size": 100, "learning_rate": 1e-3}


class Uploaded:
    """A service with the digits' network and data."""

    def __init__(self, winnow: Client, folder: Path) -> None:
        files = digits(folder)
        self.winnow, self.folder = winnow, folder
        self.model = winnow.upload_model(files.model).id
        self.dataset = winnow.upload_dataset(files.data, DECLARATION).id

    def submit(self, *steps: dict[str, Any], training: bool = True) -> Job:
        rows = {"calibration": [0, 200], "training": [0, 400], "evaluation": [1500, 1797]}
        data = {role: {"dataset": self.dataset, "slice": chosen} for role, chosen in rows.items()}
        if not training:
            del data["training"]
        asked = {
            "model": self.model,
            "recipe": {"steps": list(steps)},
            "data": data,
            "evaluation": {"metric": "top1"},
            "benchmark": {"rounds": 9},
        }
        return self.winnow.submit(JobRequest.model_validate(asked))


@pytest.fixture(scope="module")
def uploaded(winnow: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uploaded]:
    with Client(winnow.url) as client:
        yield Uploaded(client, tmp_path_factory.mktemp("training"))


def test_each_technique_trains_and_all_that_they_made_is_delivered(
    uploaded: Uploaded, tmp_path: Path
) -> None:
    trainings = ["finetune", "distillation", "quantization_aware_training"]
    kinds = [*trainings[:2], "int8_static", trainings[2]]
    steps = [{"kind": kind, **(QUICK if kind in trainings else {})} for kind in kinds]
    job = uploaded.winnow.wait(uploaded.submit(*steps).id)
    assert job.state == "succeeded", job.problem
    assert [step.kind for step in uploaded.winnow.report(job.id).steps] == kinds
    artifact = uploaded.winnow.download(job.id, tmp_path / "small.onnx")
    assert (
        ort.InferenceSession(str(artifact), providers=["CPUExecutionProvider"]).get_inputs()[0].name
        == "image"
    )
    curves = uploaded.winnow.download_curves(job.id, tmp_path / "curves.zip")
    with zipfile.ZipFile(curves) as archive:
        drawn = {Path(name).parts[0].partition("-")[2] for name in archive.namelist() if "tfevents" in name}
    assert drawn == {*trainings}


def test_progress_of_a_training_is_told_with_its_numbers(uploaded: Uploaded) -> None:
    """At least one record every two seconds while it trains; six more are allowed for what else the machine does.

    It trains until it was heard twice, and not longer: how fast the machine is does not matter.
    """
    job = uploaded.submit({"kind": "finetune", **QUICK, "epochs": 100_000})
    try:
        told = (event for event in uploaded.winnow.events(job.id) if "samples_per_second" in event.values)
        records = list(islice(told, 2))
    finally:
        uploaded.winnow.cancel(job.id)
    assert uploaded.winnow.wait(job.id).state == "cancelled"
    known = {"epoch", "step", "loss", "metric", "samples_per_second", "seconds_left"}
    assert known <= records[-1].values.keys()
    assert (records[1].time - records[0].time).total_seconds() < 8


def test_a_training_that_diverges_fails_with_its_best_weights(uploaded: Uploaded, tmp_path: Path) -> None:
    steep = {"optimizer": "sgd", "learning_rate": 10.0, "clip_norm": None, "warmup": 0}
    with pytest.raises(JobFailed) as failed:
        uploaded.winnow.wait(uploaded.submit({"kind": "finetune", **QUICK, **steep, "epochs": 3}).id)
    job = failed.value.job
    assert job.problem is not None
    assert job.problem.code == "training_diverged"
    assert uploaded.winnow.download(job.id, tmp_path / "best.onnx").stat().st_size > 0
    with pytest.raises(ServiceProblem):
        uploaded.winnow.report(job.id)


def test_a_training_without_data_is_refused_at_the_door(uploaded: Uploaded) -> None:
    with pytest.raises(ServiceProblem) as caught:
        uploaded.submit({"kind": "finetune"}, training=False)
    assert (caught.value.problem.code, caught.value.problem.field) == ("missing_data", "data.training")
