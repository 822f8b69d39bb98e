"""A finished job with all that it needs, out of a file that `winnow.client.exporting` wrote into another service."""

import hashlib
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from winnow.client.errors import DamagedTransfer, UnusableFile
from winnow.client.exporting import TIMEOUT, Body, add_body, add_member
from winnow.client.files import FileBody, OnProgress, check_readable
from winnow.client.transport import Transport
from winnow.contract.dataset import Dataset
from winnow.contract.errors import Refusal
from winnow.contract.exported import (
    EXPORT,
    JOB,
    TRIAL,
    Export,
    ExportedJob,
    ExportedTrial,
    ExportedUpload,
    of_trial,
)
from winnow.contract.job import Job, JobRequest
from winnow.contract.model import Model
from winnow.contract.recipe import Recipe
from winnow.contract.strict_json import read_model
from winnow.contract.strict_tar.archive import TarArchive, open_tar
from winnow.contract.strict_tar.header import BrokenTar

MAX_EXPORT_BYTES: Final = 2**20


class Uploading(Protocol):
    """What of a `Client` sends uploads."""

    def upload_model(
        self,
        path: str | Path,
        name: str | None = None,
        inputs: Any = (),
        on_progress: OnProgress | None = None,
    ) -> Model: ...

    def upload_dataset(
        self,
        path: Any,
        declaration: Any = None,
        name: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Dataset: ...


def import_job(client: Uploading, transport: Transport, source: Path) -> Job:
    """Send what `export_job` has written. What is there already stays as it is. Raises `DamagedTransfer`,
    `UnusableFile`, `UploadRejected`."""
    check_readable(source)
    with source.open("rb") as file, tempfile.TemporaryDirectory(prefix="winnow-import-") as name:
        archive, exported, trials = _read(source, file)
        folder = Path(name)
        ids = {upload.id: _send(client, archive, upload, folder) for upload in exported.uploads}
        body = FileBody(_packed(archive, exported.job, trials, ids, folder / "job.tar"))
        response = transport.request(
            "POST",
            "/v1/jobs/import",
            again=False,
            content=body,
            headers=body.headers,
            timeout=TIMEOUT,
        )
        return transport.parsed(Job, response)


def _read(source: Path, file: Any) -> tuple[TarArchive, Export, dict[str, ExportedTrial]]:
    """The archive, with every hash verified, and the trials by the names of their files."""
    try:
        archive = open_tar(file)
        if EXPORT not in archive.members:
            raise UnusableFile(f"{source} was not written by `winnow export`: it has no {EXPORT}")
        exported = read_model(Export, _content(archive, EXPORT), EXPORT)
        for name, sha256 in exported.files.items():
            if name not in archive.members:
                raise DamagedTransfer(f"{source} lacks {name}, which its {EXPORT} names")
            if (found := _hash_of(archive, name)) != sha256:
                raise DamagedTransfer(f"{name} in {source} has SHA-256 {found}, but {EXPORT} says {sha256}")
        told = [name for name in (of_trial(n, TRIAL) for n in exported.job.trials) if name in archive.members]
        trials = {name: read_model(ExportedTrial, _content(archive, name), name) for name in told}
    except BrokenTar as error:
        raise UnusableFile(f"{source} is no tar that `winnow export` has written: {error}") from error
    except Refusal as refusal:
        raise UnusableFile(f"{source} cannot be imported: {refusal.problem.detail}") from refusal
    return archive, exported, trials


def _content(archive: TarArchive, name: str) -> bytes:
    """Of what is read as a whole."""
    if archive.members[name].size_bytes > MAX_EXPORT_BYTES:
        raise UnusableFile(
            f"{name} in the file has more than {MAX_EXPORT_BYTES:,} bytes: no export is like that"
        )
    return b"".join(archive.chunks(name))


def _hash_of(archive: TarArchive, name: str) -> str:
    digest = hashlib.sha256()
    for chunk in archive.chunks(name):
        digest.update(chunk)
    return digest.hexdigest()


def _send(client: Uploading, archive: TarArchive, upload: ExportedUpload, folder: Path) -> str:
    """The id that it has there."""
    file = folder / upload.sha256
    with file.open("wb") as written:
        for chunk in archive.chunks(upload.file):
            written.write(chunk)
    try:
        if upload.kind == "model":
            return client.upload_model(file, upload.name, upload.inputs).id
        return client.upload_dataset(file, upload.declaration, upload.name).id
    finally:
        file.unlink()


def _packed(
    archive: TarArchive,
    job: ExportedJob,
    trials: Mapping[str, ExportedTrial],
    ids: Mapping[str, str],
    target: Path,
) -> Path:
    """What `POST /v1/jobs/import` takes: the job's own files, in which uploads have the ids that they have there."""
    told = {name: _trial_there(trial, ids) for name, trial in trials.items()}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in told.items()}
    request = JobRequest.model_validate(renamed(job.request.model_dump(mode="json"), ids))
    there = job.model_copy(update={"request": request, "files": {**job.files, **hashes}})
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as packed:
        add_member(packed, JOB, there.model_dump_json().encode())
        for name in job.files:
            if name in told:
                add_member(packed, name, told[name])
            else:
                add_body(packed, name, archive.members[name].size_bytes, Body(archive.chunks(name)))
    return target


def _trial_there(trial: ExportedTrial, ids: Mapping[str, str]) -> bytes:
    recipe = trial.recipe and Recipe.model_validate(renamed(trial.recipe.model_dump(mode="json"), ids))
    return trial.model_copy(update={"recipe": recipe}).model_dump_json().encode()


def renamed(value: Any, ids: Mapping[str, str]) -> Any:
    """What names uploads, with the ids that they have there: no other text is one."""
    match value:
        case str():
            return ids.get(value, value)
        case dict():
            return {name: renamed(part, ids) for name, part in value.items()}
        case list():
            return [renamed(part, ids) for part in value]
        case _:
            return value
