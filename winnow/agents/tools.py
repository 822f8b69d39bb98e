"""The tools of `winnow mcp`: the client's methods with arguments that an agent can fill in.

Files lie in one folder: an agent reads and writes nothing outside of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field, TypeAdapter

from winnow.agents.compression import Compression, read_given
from winnow.agents.shown import (
    ShownDataset,
    ShownJob,
    ShownModel,
    ShownReport,
    shown_dataset,
    shown_job,
    shown_model,
    shown_report,
)
from winnow.client import Client, ClientError, UploadRejected
from winnow.contract.declaration import Declaration
from winnow.contract.dry_run import DryRun
from winnow.contract.inquiry import Proposal
from winnow.contract.job import FINISHED
from winnow.contract.recipe import AnyStep

MAX_WAIT_SECONDS: Final = 50
"""What a client waits for an answer is a minute, mostly."""

ModelId = Annotated[str, Field(description="Id of a model, mdl_…, from upload_model.")]
DatasetId = Annotated[str, Field(description="Id of a dataset, dst_…, from upload_dataset.")]
JobId = Annotated[str, Field(description="Id of a job, job_…, from compress.")]
LocalPath = Annotated[
    str, Field(description="Of a file or folder of this machine, within the server's folder.")
]


class Tools:
    """`url` is the service (WINNOW_URL where it is None), `folder` the only one that files are read from and written
    to. Each method is a tool; what goes wrong is a `ToolError` with a sentence that says what to do."""

    def __init__(self, url: str | None, folder: Path) -> None:
        self._url, self._folder = url, folder.resolve()

    def upload_model(self, path: LocalPath, name: str | None = None) -> ShownModel:
        """Upload a model (.onnx, .pt2, or an archive of one) and wait until it is inspected."""
        with self._client() as client:
            return shown_model(client.upload_model(self._inside(path), name))

    def upload_dataset(
        self, path: LocalPath, declaration: dict[str, Any] | None = None, name: str | None = None
    ) -> ShownDataset:
        """Upload a dataset: .npz, .npy, .csv, .parquet, pictures in a folder or archive, … Without a declaration of how
        it is read, go on with propose_declaration."""
        declared = None if declaration is None else read_given(Declaration, declaration)
        with self._client() as client:
            try:
                return shown_dataset(client.upload_dataset(self._inside(path), declared, name))
            except UploadRejected as rejected:
                return shown_dataset(client.dataset(rejected.id))

    def propose_declaration(self, model: ModelId, dataset: DatasetId) -> Proposal:
        """How a dataset could be read for a model, what of it is sure, and why. Send what is right by declare."""
        with self._client() as client:
            return client.propose(model, dataset)

    def declare(self, dataset: DatasetId, declaration: dict[str, Any]) -> ShownDataset:
        """Say how a dataset is read, as propose_declaration has it; mend what it was unsure of."""
        with self._client() as client:
            return shown_dataset(client.declare(dataset, read_given(Declaration, declaration)))

    def step_settings(self, kind: str | None = None) -> dict[str, Any]:
        """The kinds of steps with what each does; of one kind the settings, as JSON Schema."""
        return _step_settings(kind)

    def dry_run(self, compression: Compression) -> DryRun:
        """What compress with the same argument would be refused for, and what it would come to in size and time.
        Nothing is started."""
        with self._client() as client:
            return client.dry_run(compression.job_request())

    def compress(self, compression: Compression) -> ShownJob:
        """Start a compression. It goes on by itself: follow it by wait."""
        with self._client() as client:
            return shown_job(client.submit(compression.job_request()))

    def status(self, job: JobId) -> ShownJob:
        """How a job stands."""
        with self._client() as client:
            return shown_job(client.job(job))

    def wait(
        self, job: JobId, seconds: Annotated[int, Field(ge=1, le=MAX_WAIT_SECONDS)] = MAX_WAIT_SECONDS
    ) -> ShownJob:
        """Wait until a job has ended, so many seconds at most; ask again while it has not."""
        with self._client() as client:
            try:
                return shown_job(client.wait(job, seconds))
            except TimeoutError:
                return shown_job(client.job(job))
            except ClientError:
                if (ended := client.job(job)).state in FINISHED:
                    return shown_job(ended)
                raise

    def cancel(self, job: JobId) -> ShownJob:
        """Stop a job that waits or runs."""
        with self._client() as client:
            return shown_job(client.cancel(job))

    def report(self, job: JobId) -> ShownReport:
        """What came of a job that has succeeded: the verdict, requirements, size, metrics and speed before and after,
        and what is worth trying next."""
        with self._client() as client:
            return shown_report(client.report(job))

    def download(
        self, job: JobId, path: LocalPath, what: Literal["model", "bundle", "card"] = "model"
    ) -> dict[str, str]:
        """Write the compressed ONNX, its model card, or the bundle of all that belongs to it, to a file that is not
        there yet."""
        target = self._inside(path)
        if target.exists():
            raise ToolError(f"{path} exists and is not overwritten: give another path.")
        with self._client() as client:
            match what:
                case "model":
                    client.download(job, target)
                case "bundle":
                    client.download_bundle(job, target)
                case "card":
                    target.write_text(client.card(job))
        return {"file": str(target)}

    @contextmanager
    def _client(self) -> Iterator[Client]:
        """Whatever is expected to go wrong becomes a sentence."""
        try:
            with Client(self._url) as client:
                yield client
        except (ClientError, TimeoutError) as error:
            raise ToolError(str(error)) from error
        except OSError as error:
            raise ToolError(f"{error.filename}: {error.strerror or error}") from error

    def _inside(self, path: str) -> Path:
        """Links are followed before it is looked at where it leads."""
        found = (self._folder / path).resolve()
        if not found.is_relative_to(self._folder):
            raise ToolError(
                f"{path} lies outside of {self._folder}, the only folder that this server works in."
            )
        return found


def _step_settings(kind: str | None) -> dict[str, Any]:
    schema = TypeAdapter(AnyStep).json_schema()
    kinds = schema["discriminator"]["mapping"]
    named = {name: schema["$defs"][ref.rpartition("/")[2]] for name, ref in kinds.items()}
    if kind is None:
        return {name: each.get("description", "") for name, each in named.items()}
    if kind not in named:
        raise ToolError(f"There is no step {kind!r}; there are {', '.join(named)}.")
    return {"schema": named[kind], "definitions": schema["$defs"] if "$ref" in str(named[kind]) else {}}
