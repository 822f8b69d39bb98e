"""The Python client: the API of the service as methods that answer contract objects.

    with Client() as winnow:
        model = winnow.upload_model("model.onnx")
        job = winnow.submit(model=model.id, recipe={"steps": [{"kind": "int8_dynamic"}]})
        winnow.wait(job.id)
        winnow.download(job.id, "small.onnx")

Every method may raise `ServiceUnreachable`, `ServiceProblem` and `UnexpectedAnswer`; the docstrings name the rest
(the tree of errors: `winnow/client/errors.py`).
"""

import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from winnow.client.exporting import export_job
from winnow.client.importing import import_job
from winnow.client.parts.operation import Operation
from winnow.client.parts.part import path_of
from winnow.client.parts.results import Results
from winnow.client.parts.uploads import Uploads
from winnow.client.transport import Transport
from winnow.contract.dataset import Dataset
from winnow.contract.job import Job
from winnow.contract.model import Model

LOCAL: Final = "http://127.0.0.1:8000"

PATIENCE: Final = 60.0
"""Seconds that watching outlasts a service that is away."""


class Client(Uploads, Results, Operation):
    """Synchronous; not for several threads at once. `http` replaces the connection (tests)."""

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        patience: float = PATIENCE,
        http: httpx.Client | None = None,
    ) -> None:
        """`url` is where the service is, `key` what it knows you by, if it asks: an API key or a token. Where they are
        not given WINNOW_URL and WINNOW_KEY of the environment say them; `url` is else LOCAL."""
        url = url or os.environ.get("WINNOW_URL") or LOCAL
        key = key or os.environ.get("WINNOW_KEY")
        self._transport, self._patience = Transport(url, http, key), patience
        self.url = self._transport.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def pin(self, id: str, pinned: bool = True) -> Model | Dataset | Job:
        """Keep a model, dataset or job however old it is, a job with all that it needs; or no longer."""
        kind, where = _kind_of(id)
        return self._transport.parsed(
            kind, self._transport.request("PATCH", path_of(where, id), json={"pinned": pinned})
        )

    def export(self, id: str, path: str | Path) -> Path:
        """Write a finished job with all that it needs to a tar: request, models, datasets, artifact, report, curves,
        and the trials of a search.

        Raises DamagedTransfer, UnusableFile, and ClientError while it has not finished.
        """
        return export_job(self, self._transport, id, Path(path))

    def import_job(self, path: str | Path) -> Job:
        """Send a job that `export` has written, after its models and datasets; every hash is verified before.

        Raises DamagedTransfer, UnusableFile, UploadRejected.
        """
        return import_job(self, self._transport, Path(path))


def _kind_of(id: str) -> tuple[type[Model | Dataset | Job], str]:
    match id[:4]:
        case "mdl_":
            return Model, "models"
        case "dst_":
            return Dataset, "datasets"
        case _:
            return Job, "jobs"
