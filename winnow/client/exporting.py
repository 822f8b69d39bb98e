"""A finished job with all that it needs, out of one service into a file, and out of a file into another service."""

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

import httpx

from winnow.client.errors import ClientError, DamagedTransfer, UnusableFile
from winnow.client.files import FileBody, OnProgress, check_readable
from winnow.client.transport import Transport
from winnow.contract.dataset import Dataset
from winnow.contract.errors import Refusal
from winnow.contract.exported import (
    ARTIFACT,
    CURVES,
    EXPORT,
    JOB,
    OF_JOB,
    REPORT,
    Export,
    ExportedJob,
    ExportedUpload,
)
from winnow.contract.job import FINISHED, Job, JobRequest
from winnow.contract.model import Model
from winnow.contract.needed_data import uses
from winnow.contract.other_models import named_models
from winnow.contract.strict_json import read_model
from winnow.contract.strict_tar.archive import TarArchive, open_tar
from winnow.contract.strict_tar.header import BrokenTar

MAX_EXPORT_BYTES: Final = 2**20
TIMEOUT: Final = httpx.Timeout(600.0, connect=5.0)


class Uploading(Protocol):
    """What of a `Client` sends uploads and reads what is there."""

    def model(self, id: str) -> Model: ...

    def dataset(self, id: str) -> Dataset: ...

    def job(self, id: str) -> Job: ...

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


def export_job(client: Uploading, transport: Transport, id: str, target: Path) -> Path:
    """Write the job to `target`, which is whole or not there. Raises `DamagedTransfer`, `UnusableFile`, and
    `ClientError` for a job that has not finished, or whose uploads are gone."""
    job = client.job(id)
    if job.state not in FINISHED or job.finished_at is None:
        raise ClientError(f"{id} is {job.state}; it can be exported when it has ended (`winnow watch {id}`)")
    report = transport.get(f"/v1/jobs/{id}/report").content if job.graph_sha256 is not None else None
    exported = Export(winnow=1, job=_of_job(job, report), uploads=[*_uploads(client, job)])
    with _whole(target) as part, tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, EXPORT, exported.model_dump_json(indent=1).encode())
        for upload in {upload.file: upload for upload in exported.uploads}.values():
            _fetch(archive, transport, f"/v1/{upload.kind}s/{upload.id}/content", upload.file, upload.sha256)
        for name, path in ((ARTIFACT, "artifact"), (CURVES, "curves")):
            if sha256 := exported.job.files.get(name):  # type: ignore[call-overload]
                _fetch(archive, transport, f"/v1/jobs/{id}/{path}", name, sha256)
        if report is not None:
            _add(archive, REPORT, report)
    return target


def _of_job(job: Job, report: bytes | None) -> ExportedJob:
    assert job.finished_at is not None
    files = {ARTIFACT: job.artifact and job.artifact.sha256, CURVES: job.curves and job.curves.sha256}
    files[REPORT] = hashlib.sha256(report).hexdigest() if report is not None else None
    return ExportedJob.model_validate(
        {
            "request": JobRequest(**{name: getattr(job, name) for name in JobRequest.model_fields}),
            "files": {name: sha256 for name, sha256 in files.items() if sha256 is not None},
            **{name: getattr(job, name) for name in ("state", "outcome", "problem", "requirements")},
            **{name: getattr(job, name) for name in ("graph_sha256", "attempt", "started_at", "finished_at")},
        }
    )


def _uploads(client: Uploading, job: Job) -> Iterator[ExportedUpload]:
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


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _fetch(archive: tarfile.TarFile, transport: Transport, url: str, name: str, sha256: str) -> None:
    with transport.stream(url, headers={"Accept-Encoding": "identity"}, timeout=TIMEOUT) as response:
        info = tarfile.TarInfo(name)
        info.size = int(response.headers["content-length"])
        body = _Body(response.iter_bytes())
        archive.addfile(info, body)  # type: ignore[arg-type]
    if body.sha256 != sha256:
        raise DamagedTransfer(f"{name} has SHA-256 {body.sha256}, but {sha256} was promised; try again")


class _Body:
    """An answer as a file that is read once, from its beginning to its end."""

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


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A file beside the target, which takes its name when all went well."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(target)
    except OSError as error:
        raise UnusableFile(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def import_job(client: Uploading, transport: Transport, source: Path) -> Job:
    """Send what `export_job` has written. What is there already stays as it is. Raises `DamagedTransfer`,
    `UnusableFile`, `UploadRejected`."""
    check_readable(source)
    with source.open("rb") as file, tempfile.TemporaryDirectory(prefix="winnow-import-") as name:
        archive, exported = _read(source, file)
        folder = Path(name)
        ids = {upload.id: _send(client, archive, upload, folder) for upload in exported.uploads}
        request = renamed(exported.job.request.model_dump(mode="json"), ids)
        job = exported.job.model_copy(update={"request": JobRequest.model_validate(request)})
        body = FileBody(_packed(archive, job, folder / "job.tar"))
        response = transport.request(
            "POST",
            "/v1/jobs/import",
            again=False,
            content=body,
            headers=body.headers,
            timeout=TIMEOUT,
        )
        return transport.parsed(Job, response)


def _read(source: Path, file: Any) -> tuple[TarArchive, Export]:
    """The archive, with every hash verified."""
    try:
        archive = open_tar(file)
        member = archive.members.get(EXPORT)
        if member is None or member.size_bytes > MAX_EXPORT_BYTES:
            raise UnusableFile(f"{source} was not written by `winnow export`: it has no {EXPORT}")
        exported = read_model(Export, b"".join(archive.chunks(EXPORT)), EXPORT)
        for name, sha256 in exported.files.items():
            if name not in archive.members:
                raise DamagedTransfer(f"{source} lacks {name}, which its {EXPORT} names")
            if (found := _hash_of(archive, name)) != sha256:
                raise DamagedTransfer(f"{name} in {source} has SHA-256 {found}, but {EXPORT} says {sha256}")
    except BrokenTar as error:
        raise UnusableFile(f"{source} is no tar that `winnow export` has written: {error}") from error
    except Refusal as refusal:
        raise UnusableFile(f"{source} cannot be imported: {refusal.problem.detail}") from refusal
    return archive, exported


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


def renamed(value: Any, ids: Mapping[str, str]) -> Any:
    """The request with the ids that its uploads have there: no other text is one."""
    match value:
        case str():
            return ids.get(value, value)
        case dict():
            return {name: renamed(part, ids) for name, part in value.items()}
        case list():
            return [renamed(part, ids) for part in value]
        case _:
            return value


def _packed(archive: TarArchive, job: ExportedJob, target: Path) -> Path:
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as packed:
        _add(packed, JOB, job.model_dump_json().encode())
        for name in OF_JOB:
            if name in job.files:
                info = tarfile.TarInfo(name)
                info.size = archive.members[name].size_bytes
                packed.addfile(info, _Body(archive.chunks(name)))  # type: ignore[arg-type]
    return target
