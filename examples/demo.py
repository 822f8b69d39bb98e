"""`make demo`: a network trained here, compressed to int8 by a Winnow service over HTTP, measured before and after.

Everything is real: the training, the service with its workers (SQLite and files, no Redis), the upload, the job,
the download. Torch is only in this process; the service does without it for int8.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from app.embedded import CannotStart, running
from app.settings import Settings
from examples.digits import CALIBRATION, TRAINING, accuracy, digits, export, train
from winnow.cli.following import follow
from winnow.cli.report import report_tables
from winnow.cli.screen import out, say
from winnow.cli.shared import terminable
from winnow.client import Client, ClientError
from winnow.contract.data_uses import DataUse, DataUses
from winnow.contract.dataset import Dataset
from winnow.contract.declaration import ArrayInput, ArrayTarget, Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Job, JobRequest
from winnow.contract.model import Model
from winnow.contract.recipe import Int8Static, Recipe, Requirements

OUTPUT = Path("demo-output")
DECLARATION = Declaration(
    inputs={"image": ArrayInput(array="images", layout="NHWC->NCHW", scale=1 / 255)},
    targets=ArrayTarget(array="labels"),
)


def main() -> int:
    try:
        with terminable():
            return _story()
    except (ClientError, CannotStart) as error:
        say(f"the demo failed: {error}")
    except KeyboardInterrupt:
        say("stopped")
        return 130
    return 1


def _story() -> int:
    OUTPUT.mkdir(exist_ok=True)
    with _part("1. Train a network on scikit-learn's handwritten digits, export it to ONNX"):
        model, data = make_files(OUTPUT)
    with tempfile.TemporaryDirectory(prefix="winnow-demo-") as scratch:
        say("2. Start the service: HTTP, SQLite, files, two workers")
        with (
            running(_settings(scratch)) as url,
            Client(url) as client,
        ):
            job = _compress(client, url, model, data)
            if job.state != "succeeded":
                raise ClientError(
                    f"{job.id} {job.state}: {job.problem.detail if job.problem else 'no reason given'}"
                )
            with _part("5. Download the result and its report"):
                artifact = client.download(job.id, OUTPUT / "digits-int8.onnx")
                report = client.report(job.id)
    (OUTPUT / "report.json").write_text(report.model_dump_json(indent=2))
    out().print("", report_tables(report), "", sep="\n")
    say(
        f"Outcome: {report.outcome}. The compressed model is {artifact}, its report {OUTPUT / 'report.json'}."
    )
    return 0


def _settings(scratch: str) -> Settings:
    return Settings(data_dir=Path(scratch), host="127.0.0.1", port=0, log_level="WARNING")


def make_files(folder: Path) -> tuple[Path, Path]:
    """The model and its data, as files that any framework could have made."""
    everything = digits()
    model = train(everything.rows(0, TRAINING))
    export(model, folder / "digits.onnx")
    unseen = everything.rows(TRAINING, None)
    np.savez_compressed(folder / "digits.npz", images=unseen.images, labels=unseen.labels)
    judged = accuracy(model, unseen.rows(CALIBRATION, None))
    say(f"   {judged:.1%} of {len(unseen.labels) - CALIBRATION} digits that it never saw are right")
    return folder / "digits.onnx", folder / "digits.npz"


def _compress(client: Client, url: str, model: Path, data: Path) -> Job:
    with _part(f"3. Upload model and data to {url}"):
        uploaded = client.upload_model(model)
        dataset = client.upload_dataset(data, DECLARATION)
    say("4. Compress to int8: at most 1 point of top-1 lost, at most half the size, faster than before")
    request = int8_request(uploaded, dataset)
    return follow(client, client.submit(request).id)


def int8_request(model: Model, dataset: Dataset) -> JobRequest:
    """Int8 for the digits: calibrated on the first rows that were not trained on, judged on the rest."""
    return JobRequest(
        model=model.id,
        recipe=Recipe(steps=[Int8Static(kind="int8_static", samples=CALIBRATION)]),
        data=DataUses(
            calibration=DataUse(dataset=dataset.id, slice=(0, CALIBRATION)),
            evaluation=DataUse(dataset=dataset.id, slice=(CALIBRATION, dataset.samples or 0)),
        ),
        evaluation=Evaluation(metric="top1"),
        require=Requirements(max_metric_drop=0.01, max_size_ratio=0.5, min_speedup=1.0),
    )


@contextmanager
def _part(title: str) -> Iterator[None]:
    say(title)
    start = time.monotonic()
    yield
    say(f"   done in {time.monotonic() - start:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
