"""The files of a job that is imported: read, or kept as blobs, once they are what they are called."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

from pydantic import ValidationError

from app.api.sniff import model_format, unknown
from app.storage.ports import Blobs
from winnow.contract.errors import Refusal
from winnow.contract.report import Report
from winnow.contract.strict_tar.archive import TarArchive

MAX_REPORT_BYTES: Final = 64 * 2**20
ARTIFACTS: Final = ("onnx", "onnx_package")

Kept = tuple[str, int]
"""SHA-256 and size of a blob."""


def small(archive: TarArchive, name: str, most: int) -> bytes:
    """Raises `malformed_request`."""
    member = archive.members.get(name)
    if member is None:
        raise Refusal(
            "malformed_request", f"The archive has no {name!r}; `winnow import` sends one that has."
        )
    if member.size_bytes > most:
        raise Refusal("malformed_request", f"{name!r} has more than {most} bytes.")
    return b"".join(archive.chunks(name))


@dataclass(frozen=True)
class ImportedFiles:
    """What lies in the archive beside `job.json`, by its names there; `sha256` is what it is said to be."""

    blobs: Blobs
    archive: TarArchive
    sha256: Mapping[str, str]

    def read(self, name: str, most: int) -> bytes:
        """Raises `malformed_request`, `digest_mismatch`."""
        content = small(self.archive, name, most)
        self._check_digest(name, hashlib.sha256(content).hexdigest())
        return content

    def report(self, name: str) -> Report:
        """Raises as `read`, and `invalid_request`."""
        content = self.read(name, MAX_REPORT_BYTES)
        try:
            return Report.model_validate_json(content)
        except ValidationError as error:
            detail = f"It is no report of this version of the service ({error.error_count()} faults)."
            raise Refusal("invalid_request", detail, field=name) from error

    def keep(self, name: str) -> Kept:
        """Raises `digest_mismatch`, and of a model `unknown_format`."""
        digest = hashlib.sha256()
        for chunk in self.archive.chunks(name):
            digest.update(chunk)
        self._check_digest(name, digest.hexdigest())
        writer = self.blobs.writer()
        try:
            for chunk in self.archive.chunks(name):
                writer.write(chunk)
            stored = writer.commit()
        finally:
            writer.abort()
        if name.endswith(".onnx"):
            _check_artifact(self.blobs.open(stored[0]))
        return stored

    def _check_digest(self, name: str, digest: str) -> None:
        if digest != self.sha256[name]:
            detail = f"{name!r} has SHA-256 {digest}, and job.json says {self.sha256[name]}: it was damaged."
            raise Refusal("digest_mismatch", detail, field=name)


def _check_artifact(file: BinaryIO | None) -> None:
    if file is not None:
        with file:
            if (format := model_format(file, "auto", allow_torchscript=False)) not in ARTIFACTS:
                raise unknown(f"An artifact is ONNX, or a zip of several graphs; the file is {format}.")
