"""A finished job, as card, bill of materials and recipe tell of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from winnow.contract.exported import ExportedUpload
from winnow.contract.job import JobRequest
from winnow.contract.model import TensorSpec
from winnow.contract.needed_data import uses
from winnow.contract.report import Report


@dataclass(frozen=True)
class FinishedJob:
    """`uploads` are those of its uploads that are still there, the model first; `inputs` and `outputs` those of the
    model, empty where it is gone."""

    id: str
    finished_at: datetime
    request: JobRequest
    report: Report
    uploads: tuple[ExportedUpload, ...] = ()
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    @property
    def model_name(self) -> str:
        """Of the model as uploaded, without the ending of a file; its id where it is gone."""
        named = self.upload(self.request.model)
        return self.request.model if named is None else PurePosixPath(named.name).stem or named.name

    @property
    def name(self) -> str:
        """Of the result."""
        return self.request.name or f"{self.model_name}-winnow"

    def upload(self, id: str) -> ExportedUpload | None:
        return next((upload for upload in self.uploads if upload.id == id), None)

    def datasets(self) -> Iterator[tuple[str, list[str]]]:
        """Each dataset once: its id, and the roles that it has."""
        given = uses(self.request.data)
        for id in dict.fromkeys(use.dataset for use in given.values()):
            yield id, [role for role, use in given.items() if use.dataset == id]
