"""A finished job in a file: `winnow export`, `winnow import`, `POST /v1/jobs/import`.

A tar that `winnow export` writes holds `export.json` (`Export`) and the files that it names with their SHA-256. What
is sent to `POST /v1/jobs/import` holds `job.json` (`ExportedJob`, with the ids that the uploads have there) and the
files of the job alone. Of each trial of a search there is `trials/NUMBER/trial.json` (`ExportedTrial`) and, beside it,
what it made.
"""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from winnow.contract.base import RequestModel
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Problem
from winnow.contract.job import JobRequest
from winnow.contract.recipe import Recipe
from winnow.contract.report import Outcome, RequirementResult

EXPORT: Final = "export.json"
JOB: Final = "job.json"
ARTIFACT: Final = "artifact.onnx"
REPORT: Final = "report.json"
CURVES: Final = "curves.zip"
TRIAL: Final = "trial.json"
MAX_TRIALS: Final = 3000
"""That are exported and imported; more than a search tries, because some are ruled out without being tried."""
MAX_FILES: Final = 3 + 3 * MAX_TRIALS

Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Moment = Annotated[
    AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), le=datetime(9998, 1, 1, tzinfo=UTC))
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
FileName = Annotated[
    str,
    StringConstraints(
        pattern=r"^(artifact\.onnx|report\.json|curves\.zip"
        r"|trials/(0|[1-9][0-9]{0,8})/(trial\.json|artifact\.onnx|report\.json))$"
    ),
]


def of_trial(number: int, name: str) -> str:
    """Where a file of this trial lies."""
    return f"trials/{number}/{name}"


class ExportedJob(RequestModel):
    """What was asked and what came of it."""

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
    files: Annotated[dict[FileName, Sha256], Field(max_length=MAX_FILES)] = Field(
        description="What it made, and its trials: name → SHA-256."
    )

    @property
    def trials(self) -> list[int]:
        """The numbers of its trials."""
        return sorted({int(name.split("/")[1]) for name in self.files if name.startswith("trials/")})


class ExportedTrial(RequestModel):
    """A trial of a search. What was measured of it stands in its report."""

    state: Literal["finished", "failed", "stopped_early"] = Field(description="How it ended.")
    recipe: Recipe | None = Field(description="What was tried; null for the upload as it is.")
    share: float = Field(gt=0, le=1, description="Share of their epochs that its steps trained.")
    seconds: float = Field(ge=0, le=1e12, description="How long its runs took, together.")
    worker: Text | None = Field(description="The worker that ran it last.")
    problem: Problem | None = Field(description="Why it failed; null otherwise.")


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
        return {**{upload.file: upload.sha256 for upload in self.uploads}, **self.job.files}
