"""A finished job with all that it needs, out of one service into a file."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import httpx

from winnow.client.errors import ClientError, DamagedTransfer
from winnow.client.files import whole_file
from winnow.client.transport import Transport
from winnow.contract.dataset import Dataset
from winnow.contract.exported import (
    ARTIFACT,
    CURVES,
    EXPORT,
    MAX_TRIALS,
    REPORT,
    TRIAL,
    Export,
    ExportedJob,
    ExportedTrial,
    ExportedUpload,
    of_trial,
)
from winnow.contract.job import FINISHED, Artifact, Job, JobRequest
from winnow.contract.model import Model
from winnow.contract.needed_data import uses
from winnow.contract.other_models import named_models
from winnow.contract.trial import Trial

TIMEOUT: Final = httpx.Timeout(600.0, connect=5.0)


class Reading(Protocol):
    """What of a `Client` reads what is there."""

    def model(self, id: str) -> Model: ...

    def dataset(self, id: str) -> Dataset: ...

    def job(self, id: str) -> Job: ...

    def trials(self, id: str) -> Iterator[Trial]: ...


def export_job(client: Reading, transport: Transport, id: str, target: Path) -> Path:
    """Write the job to `target`, which is whole or not there. Raises `DamagedTransfer`, `UnusableFile`, and
    `ClientError` for a job that has not finished, or whose uploads are gone."""
    job = client.job(id)
    if job.state not in FINISHED or job.finished_at is None:
        raise ClientError(f"{id} is {job.state}; it can be exported when it has ended (`winnow watch {id}`)")
    uploads = [*_uploads(client, job)]
    with whole_file(target) as part, tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as archive:
        writing = _Export(archive, transport)
        for upload in {upload.file: upload for upload in uploads}.values():
            writing.fetch(f"/v1/{upload.kind}s/{upload.id}/content", upload.file, upload.sha256)
        files = writing.made(f"/v1/jobs/{id}", job)
        if job.state == "succeeded" and job.trials is not None:
            for trial in islice(filter(_has_ended, client.trials(id)), MAX_TRIALS):
                files |= writing.trial(f"/v1/jobs/{id}/trials/{trial.number}", trial)
        exported = Export(winnow=1, job=_of_job(job, files), uploads=uploads)
        add_member(archive, EXPORT, exported.model_dump_json(indent=1).encode())
    return target


def _has_ended(trial: Trial) -> bool:
    """Not of one that is still told to stop, its job being over."""
    return trial.state not in ("waiting", "running")


class _Export:
    """An archive that is being written, of what a service has. What writes files answers name → SHA-256."""

    def __init__(self, archive: tarfile.TarFile, transport: Transport) -> None:
        self._archive, self._transport = archive, transport

    def made(self, url: str, job: Job) -> dict[str, str]:
        """Artifact, curves and report of the job at `url`, as far as it has them."""
        files = self._artifact(f"{url}/artifact", ARTIFACT, job.artifact)
        files |= self._artifact(f"{url}/curves", CURVES, job.curves)
        return files | (self._report(f"{url}/report", REPORT) if job.graph_sha256 is not None else {})

    def trial(self, url: str, trial: Trial) -> dict[str, str]:
        """All that is to be had of the trial at `url`."""
        told = {name: getattr(trial, name) for name in ExportedTrial.model_fields}
        content = ExportedTrial.model_validate(told).model_dump_json().encode()
        files = self.add(of_trial(trial.number, TRIAL), content)
        if trial.artifact is None:
            return files
        files |= self._artifact(f"{url}/artifact", of_trial(trial.number, ARTIFACT), trial.artifact)
        return files | self._report(f"{url}/report", of_trial(trial.number, REPORT))

    def add(self, name: str, content: bytes) -> dict[str, str]:
        add_member(self._archive, name, content)
        return {name: hashlib.sha256(content).hexdigest()}

    def fetch(self, url: str, name: str, sha256: str) -> dict[str, str]:
        """Raises `DamagedTransfer`."""
        headers = {"Accept-Encoding": "identity"}
        with self._transport.stream(url, headers=headers, timeout=TIMEOUT) as response:
            body = Body(response.iter_bytes())
            add_body(self._archive, name, int(response.headers["content-length"]), body)
        if body.sha256 != sha256:
            raise DamagedTransfer(f"{name} has SHA-256 {body.sha256}, but {sha256} was promised; try again")
        return {name: sha256}

    def _artifact(self, url: str, name: str, made: Artifact | None) -> dict[str, str]:
        return {} if made is None else self.fetch(url, name, made.sha256)

    def _report(self, url: str, name: str) -> dict[str, str]:
        return self.add(name, self._transport.get(f"{url}?raw=true").content)


def _of_job(job: Job, files: dict[str, str]) -> ExportedJob:
    assert job.finished_at is not None
    return ExportedJob.model_validate(
        {
            "request": JobRequest(**{name: getattr(job, name) for name in JobRequest.model_fields}),
            "files": files,
            **{name: getattr(job, name) for name in ("state", "outcome", "problem", "requirements")},
            **{name: getattr(job, name) for name in ("graph_sha256", "attempt", "started_at", "finished_at")},
        }
    )


def _uploads(client: Reading, job: Job) -> Iterator[ExportedUpload]:
    for id in dict.fromkeys([job.model, *named_models(job.recipe)]):
        model = client.model(id)
        inputs = _declared(model) if model.format == "torchscript" else []
        yield ExportedUpload(id=id, kind="model", name=model.name, sha256=model.sha256, inputs=inputs)
    for id in dict.fromkeys(use.dataset for use in uses(job.data).values()):
        data = client.dataset(id)
        declared = {"declaration": data.declaration}
        yield ExportedUpload(id=id, kind="dataset", name=data.name, sha256=data.sha256, **declared)


def _declared(model: Model) -> list[str]:
    """As they are declared for TorchScript: `image:float32[N,1,28,28]`."""
    return [f"{it.name}:{it.dtype}[{','.join(map(str, it.shape))}]" for it in model.inputs or []]


class Body:
    """Pieces as a file that is read once, from its beginning to its end."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest, self._hash = chunks, b"", hashlib.sha256()

    def read(self, count: int) -> bytes:
        while len(self._rest) < count and (chunk := next(self._chunks, None)) is not None:
            self._hash.update(chunk)
            self._rest += chunk
        read, self._rest = self._rest[:count], self._rest[count:]
        return read

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def add_member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    add_body(archive, name, len(content), io.BytesIO(content))


def add_body(archive: tarfile.TarFile, name: str, size_bytes: int, body: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = size_bytes
    archive.addfile(info, body)
