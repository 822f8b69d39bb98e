"""A bundle on this machine: what `GET /v1/jobs/{id}/bundle` gave, read as a file that nobody vouches for."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from winnow.client.errors import DamagedTransfer, UnusableFile
from winnow.client.files import CHUNK, OnProgress, check_readable, whole_file
from winnow.client.transport import Transport
from winnow.contract.bundle.files import (
    ARTIFACT,
    MAX_TEXT_BYTES,
    NEEDED,
    PACKAGE,
    PAGE,
    RECIPE,
    REPORT,
    artifact_of,
)
from winnow.contract.bundle.recipe_file import RecipeFile
from winnow.contract.errors import Refusal
from winnow.contract.report import Report
from winnow.contract.strict_json import read_model
from winnow.contract.strict_zip import BrokenZip, ZipArchive, open_zip

NAMES: Final = (ARTIFACT, PACKAGE, *NEEDED, PAGE)


@dataclass(frozen=True)
class Bundle:
    """An open bundle; its report and recipe have been read and checked."""

    path: Path
    archive: ZipArchive
    report: Report
    recipe: RecipeFile

    def text(self, name: str) -> str:
        """The card or the bill of materials."""
        return self.archive.read(name, limit=MAX_TEXT_BYTES).decode("utf-8", "replace")

    def extract(self, folder: Path) -> list[Path]:
        """Write all files into the folder, by the names that bundles have."""
        names = [name for name in NAMES if name in self.archive.members]
        return [_written(self.archive, name, folder / name) for name in names]


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """Read a bundle: names that a bundle has, texts within bounds, and an artifact with the report's hash.

    Raises `UnusableFile` for what is no bundle, `DamagedTransfer` for another artifact.
    """
    check_readable(path)
    try:
        with path.open("rb") as file:
            archive = open_zip(file)
            _check_names(path, archive)
            report = read_report(archive.read(REPORT, limit=MAX_TEXT_BYTES), f"{path}: its {REPORT}")
            recipe = read_model(RecipeFile, archive.read(RECIPE, limit=MAX_TEXT_BYTES), RECIPE)
            if _digest(archive, _artifact(path, archive, report)) != report.artifact_sha256:
                raise DamagedTransfer(f"the artifact in {path} is not the one that its report tells of")
            yield Bundle(path, archive, report, recipe)
    except BrokenZip as error:
        raise UnusableFile(f"{path} is no bundle of a job: {error}") from error
    except Refusal as refusal:
        raise UnusableFile(f"{path} is no usable bundle: {refusal.problem.detail}") from refusal


def fetch_bundle(transport: Transport, url: str, target: Path, on_progress: OnProgress | None) -> Path:
    """Download a bundle, whole or not at all, and open it once. Raises `UnusableFile`, `DamagedTransfer`."""
    with whole_file(target) as part:
        with transport.stream(url) as response, part.open("wb") as file:
            size, done = int(response.headers.get("content-length", 0)), 0
            for chunk in response.iter_bytes():
                done += file.write(chunk)
                if on_progress is not None:
                    on_progress(done, max(size, done))
        with open_bundle(part):
            pass
    return target


def _check_names(path: Path, archive: ZipArchive) -> None:
    if missing := [name for name in NEEDED if name not in archive.members]:
        raise UnusableFile(f"{path} is no bundle of a job: it has no {', '.join(missing)}")
    if strange := [name for name in archive.members if name not in NAMES]:
        raise UnusableFile(f"{path} is no bundle of a job: {strange[0][:80]!r} is in it")


def _artifact(path: Path, archive: ZipArchive, report: Report) -> str:
    """What the artifact is called: the one that such a result has, and no other."""
    name, there = artifact_of(report), [name for name in (ARTIFACT, PACKAGE) if name in archive.members]
    if there != [name]:
        has = ", ".join(there) or "no artifact"
        raise UnusableFile(f"{path} is no bundle of a job: it should have {name}, and has {has}")
    return name


def read_report(content: bytes, what: str) -> Report:
    """Fields that a newer service adds are ignored. Raises `UnusableFile`."""
    try:
        return Report.model_validate_json(content, extra="ignore")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UnusableFile(f"{what} is no report of a job ({where}: {first['msg']})") from error


def _digest(archive: ZipArchive, name: str) -> str:
    digest, stream = hashlib.sha256(), archive.stream(name)
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _written(archive: ZipArchive, name: str, target: Path) -> Path:
    """In place of what is there, a link too: nothing is written to where one leads."""
    stream, part = archive.stream(name), target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            while chunk := stream.read(CHUNK):
                file.write(chunk)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target
