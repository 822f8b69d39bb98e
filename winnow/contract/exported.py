"""A finished job in a file: `winnow export`, `winnow import`, `POST /v1/jobs/import`.

A tar that `winnow export` writes holds `export.json` (`Export`) and the files that it names with their SHA-256. What
is sent to `POST /v1/jobs/import` holds `job.json` (`ExportedJob`, with the ids that the uploads have there) and the
files of the job alone.
"""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from winnow.contract.base import RequestModel
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Problem
from winnow.contract.job import JobRequest
from winnow.contract.report import Outcome, RequirementResult

EXPORT: Final = "export.json"
JOB: Final = "job.json"
ARTIFACT: Final = "artifact.onnx"
REPORT: Final = "report.json"
CURVES: Final = "curves.zip"
OF_JOB: Final = (ARTIFACT, REPORT, CURVES)
"""Files of a job, in the order in which they lie."""

Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Moment = Annotated[
    AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), le=datetime(9998, 1, 1, tzinfo=UTC))
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ExportedJob(RequestModel):
    """What was asked and what came of it. `files` are those of `OF_JOB` that it has: name → SHA-256."""

    request: JobRequest = Field(description="What was asked for.")
    state: Literal["succeeded", "failed", "cancelled"] = Field(description="How it ended.")
    outcome: Outcome | None = Field(description="Of one that succeeded.")
    problem: Problem | None = Field(description="Why it failed; null otherwise.")
    requirements: Annotated[list[RequirementResult], Field(max_length=1000)] | None = Field(
        description="What was required, and whether it is met."
    )
    graph_sha256: Sha256 | None = Field(description="Of the compressed model without its metadata.")
    attempt: int = Field(ge=0, le=10**6, description="Attempts that it took.")
    started_at: Moment | None = Field(description="When its first attempt began.")
    finished_at: Moment = Field(description="When it ended.")
    files: dict[Literal["artifact.onnx", "report.json", "curves.zip"], Sha256] = Field(
        description="What it made."
    )


class ExportedUpload(RequestModel):
    """A model or dataset that the job names. `inputs` are those that were declared for TorchScript."""

    id: Text
    kind: Literal["model", "dataset"]
    name: Text
    sha256: Sha256
    inputs: Annotated[list[Text], Field(max_length=100)] = Field(default_factory=list)
    declaration: Declaration | None = None

    @property
    def file(self) -> str:
        """Its name in the archive."""
        return f"{self.kind}s/{self.sha256}"


class Export(RequestModel):
    """`export.json`."""

    winnow: Literal[1]
    job: ExportedJob
    uploads: Annotated[list[ExportedUpload], Field(max_length=1000)]

    @property
    def files(self) -> dict[str, str]:
        """All that is beside it in the archive: name → SHA-256."""
        of_job: dict[str, str] = {name: sha256 for name, sha256 in self.job.files.items()}  # noqa: C416
        return {**{upload.file: upload.sha256 for upload in self.uploads}, **of_job}
