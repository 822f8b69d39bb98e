"""The tools of `winnow mcp`: the client's methods with arguments that an agent can fill in.

Files lie in one folder: an agent reads and writes nothing outside of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field, TypeAdapter, ValidationError

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
from winnow.contract.asked_recipe import PresetName
from winnow.contract.declaration import Declaration
from winnow.contract.dry_run import DryRun
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Metric, Task
from winnow.contract.inquiry import Proposal
from winnow.contract.job import FINISHED, JobRequest
from winnow.contract.recipe import AnyStep, Requirements
from winnow.contract.search import Objective
from winnow.contract.strict_json import read_model

MAX_WAIT_SECONDS: Final = 50
"""What a client waits for an answer is a minute, mostly."""

ModelId = Annotated[str, Field(description="Id of a model, mdl_…, from upload_model.")]
DatasetId = Annotated[str, Field(description="Id of a dataset, dst_…, from upload_dataset.")]
JobId = Annotated[str, Field(description="Id of a job, job_…, from compress.")]
LocalPath = Annotated[
    str, Field(description="Of a file or folder of this machine, within the server's folder.")
]
Steps = Annotated[
    list[dict[str, Any]] | None,
    Field(
        description="Steps in order, each an object with `kind`; step_settings tells the kinds and their settings."
    ),
]
Preset = Annotated[PresetName | None, Field(description="A recipe or search by its name, in place of steps.")]
Auto = Annotated[bool, Field(description="Search all that suits the model; needs seconds or trials.")]
Data = Annotated[
    str | None,
    Field(
        description="A dataset for everything, mdl's own split: half calibrates and trains, a quarter judges."
    ),
]
Seconds = Annotated[int | None, Field(ge=1, description="Search for so long.")]
Trials = Annotated[int | None, Field(ge=1, description="Try so many recipes at most.")]


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
        declared = None if declaration is None else _declaration(declaration)
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
            return shown_dataset(client.declare(dataset, _declaration(declaration)))

    def step_settings(self, kind: str | None = None) -> dict[str, Any]:
        """The kinds of steps with what each does; of one kind the settings, as JSON Schema."""
        return _step_settings(kind)

    def dry_run(
        self,
        model: ModelId,
        dataset: Data = None,
        steps: Steps = None,
        preset: Preset = None,
        auto: Auto = False,
        metric: Metric | None = None,
        task: Task | Literal["auto"] | None = None,
        require: Requirements | None = None,
        objective: Objective = "latency",
        seconds: Seconds = None,
        trials: Trials = None,
        seed: int = 0,
    ) -> DryRun:
        """What compress with the same arguments would be refused for, and what it would come to in size and time.
        Nothing is started."""
        request = _request(
            model, dataset, steps, preset, auto, metric, task, require, objective, seconds, trials, seed
        )
        with self._client() as client:
            return client.dry_run(request)

    def compress(
        self,
        model: ModelId,
        dataset: Data = None,
        steps: Steps = None,
        preset: Preset = None,
        auto: Auto = False,
        metric: Metric | None = None,
        task: Task | Literal["auto"] | None = None,
        require: Requirements | None = None,
        objective: Objective = "latency",
        seconds: Seconds = None,
        trials: Trials = None,
        seed: int = 0,
    ) -> ShownJob:
        """Start a compression, by exactly one of steps, preset and auto; auto and presets that search need seconds or
        trials. It goes on by itself: follow it by wait."""
        request = _request(
            model, dataset, steps, preset, auto, metric, task, require, objective, seconds, trials, seed
        )
        with self._client() as client:
            return shown_job(client.submit(request))

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


def _request(
    model: str,
    dataset: str | None,
    steps: list[dict[str, Any]] | None,
    preset: str | None,
    auto: bool,
    metric: str | None,
    task: str | None,
    require: Requirements | None,
    objective: str,
    seconds: int | None,
    trials: int | None,
    seed: int,
) -> JobRequest:
    """Raises `ToolError` with every fault and its path."""
    ways = {
        "steps": steps and {"steps": steps},
        "preset": preset and {"preset": preset},
        "auto": auto and {"auto": {}},
    }
    given = [way for way in ways.values() if way]
    if len(given) != 1:
        raise ToolError("Give exactly one of steps, preset and auto: each says what is done.")
    asked: dict[str, Any] = {"model": model, "recipe": given[0], "seed": seed}
    if dataset is not None:
        asked["data"] = {"dataset": dataset}
    if metric is not None or task is not None:
        asked["evaluation"] = {name: value for name, value in (("metric", metric), ("task", task)) if value}
    if require is not None:
        asked["require"] = require.model_dump(exclude_unset=True)
    budget = {name: value for name, value in (("seconds", seconds), ("trials", trials)) if value}
    if budget:
        asked["search"] = {"objective": objective, "budget": budget}
    return _read(JobRequest, asked)


def _declaration(given: dict[str, Any]) -> Declaration:
    return _read(Declaration, given)


def _read(kind: Any, given: dict[str, Any]) -> Any:
    try:
        return read_model(kind, TypeAdapter(dict[str, Any]).dump_json(given))
    except Refusal as refusal:
        faults = [f"{it.path}: {it.detail}" for it in refusal.problem.errors] or [refusal.problem.detail]
        raise ToolError(" ".join(faults)) from refusal
    except ValidationError as error:
        raise ToolError(str(error)) from error


def _step_settings(kind: str | None) -> dict[str, Any]:
    schema = TypeAdapter(AnyStep).json_schema()
    kinds = schema["discriminator"]["mapping"]
    named = {name: schema["$defs"][ref.rpartition("/")[2]] for name, ref in kinds.items()}
    if kind is None:
        return {name: each.get("description", "") for name, each in named.items()}
    if kind not in named:
        raise ToolError(f"There is no step {kind!r}; there are {', '.join(named)}.")
    return {"schema": named[kind], "definitions": schema["$defs"] if "$ref" in str(named[kind]) else {}}
