"""The Python client: the API of the service as methods that answer contract objects.

    with Client() as winnow:
        model = winnow.upload_model("model.onnx")
        job = winnow.submit(model=model.id, recipe={"steps": [{"kind": "int8_dynamic"}]})
        winnow.wait(job.id)
        winnow.download(job.id, "small.onnx")

Every method may raise `ServiceUnreachable`, `ServiceProblem` and `UnexpectedAnswer`; the docstrings name the rest
(the tree of errors: `winnow/client/errors.py`).
"""

import json
import logging
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar
from urllib.parse import quote

import httpx

from winnow.client.bundle import fetch_bundle
from winnow.client.download import download
from winnow.client.errors import (
    DamagedTransfer,
    JobFailed,
    ServiceProblem,
    ServiceUnreachable,
    UploadRejected,
)
from winnow.client.events import server_events
from winnow.client.exporting import export_job
from winnow.client.files import FileBody, OnProgress
from winnow.client.importing import import_job
from winnow.client.inquiring import fetch_answer
from winnow.client.packing import PackedBody, is_packed
from winnow.client.plain import plain
from winnow.client.resuming import LARGE, MOST_IN_ADDRESS, send_in_parts
from winnow.client.transport import TIMEOUT, Transport
from winnow.client.watching import QUICK, patiently, versions
from winnow.contract.comparison import Comparison
from winnow.contract.dataset import Dataset
from winnow.contract.declaration import Declaration
from winnow.contract.dry_run import DryRun
from winnow.contract.graph_values import GraphValue
from winnow.contract.inquiry import Preview, Proposal, Rendered
from winnow.contract.job import FINISHED, Job, JobRequest, JobState, LogRecord
from winnow.contract.model import Model
from winnow.contract.report import Report
from winnow.contract.student_request import StudentRequest
from winnow.contract.trial import Trial, TrialState
from winnow.contract.webhook import Delivery, EventType, NewWebhook, Webhook
from winnow.contract.worker import Worker, Workers

log = logging.getLogger(__name__)

UPLOAD_TIMEOUT: Final = httpx.Timeout(600.0, connect=5.0)
U = TypeVar("U", Model, Dataset)
LOCAL: Final = "http://127.0.0.1:8000"

WAIT_SECONDS: Final = 10
"""For which the service may hold back the answer about an upload that is being inspected."""

PATIENCE: Final = 60.0
"""Seconds that watching outlasts a service that is away."""


class Client:
    """Synchronous; not for several threads at once. `http` replaces the connection (tests)."""

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        patience: float = PATIENCE,
        http: httpx.Client | None = None,
    ) -> None:
        """`url` is where the service is, `key` what it knows you by, if it asks: an API key or a token. Where they are
        not given WINNOW_URL and WINNOW_KEY of the environment say them; `url` is else LOCAL."""
        url = url or os.environ.get("WINNOW_URL") or LOCAL
        key = key or os.environ.get("WINNOW_KEY")
        self._transport, self._patience = Transport(url, http, key), patience
        self.url = self._transport.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    # --- models and datasets

    def upload_model(
        self,
        path: str | Path,
        name: str | None = None,
        inputs: Sequence[str] = (),
        on_progress: OnProgress | None = None,
        *,
        wait: bool = True,
    ) -> Model:
        """Send the file and, unless told not to, wait until it is ready.

        `inputs` are for TorchScript: `image:float32[N,1,28,28]`. The same file again is the same model. Above 64 MiB a
        connection that is lost on the way is taken up again where it broke off, for as long as `patience` allows.
        Raises UnusableFile, DamagedTransfer, UploadRejected.
        """
        body = FileBody(Path(path), on_progress)
        params = {"name": name or _printable_name(path), "input": list(inputs)}
        response = self._sent_in_parts("models", params, body) or self._transport.request(
            "POST",
            "/v1/models",
            params=params,
            content=body,
            headers=body.headers,
            timeout=UPLOAD_TIMEOUT,
        )
        model = self._transport.parsed(Model, response)
        _check_arrived(body, model)
        return self.wait_model(model.id) if wait else model

    def upload_dataset(
        self,
        path: str | Path | Sequence[str | Path],
        declaration: Declaration | Mapping[str, Any] | None = None,
        name: str | None = None,
        on_progress: OnProgress | None = None,
        *,
        wait: bool = True,
    ) -> Dataset:
        """Send a dataset and how to read it, a `Declaration` or the same as a dict. A folder, and several files, are
        packed into one archive on the way.

        Raises UnusableFile, DamagedTransfer, UploadRejected.
        """
        paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
        packed = is_packed(paths)
        body = PackedBody(paths, on_progress) if packed else FileBody(paths[0], on_progress)
        text = json.dumps(plain(declaration or {}))
        params = {"name": name or _printable_name(paths[0])}
        response = self._sent_in_parts("datasets", {**params, "declaration": text}, body)
        if response is None:
            with body.counted() as file:
                response = self._transport.request(
                    "POST",
                    "/v1/datasets",
                    params=params,
                    files={"declaration": (None, text, "application/json"), "file": ("data", file)},
                    timeout=UPLOAD_TIMEOUT,
                )
        dataset = self._transport.parsed(Dataset, response)
        _check_arrived(body, dataset)
        return self.wait_dataset(dataset.id) if wait else dataset

    def model(self, id: str) -> Model:
        return self._transport.parsed(Model, self._transport.get(_path("models", id)))

    def make_student(
        self, parent: str, request: StudentRequest | Mapping[str, Any] | None = None, **fields: Any
    ) -> Model:
        """Make a smaller model of the same kind, once it is ready: `winnow.make_student("mdl_1", depth=0.5)`. Raises
        `ServiceProblem` for what is refused at once, `UploadRejected` for what then cannot be made."""
        path = _path("models", parent, "students")
        response = self._transport.request("POST", path, json=plain(request or {}) | plain(fields))
        return self.wait_model(self._transport.parsed(Model, response).id)

    def values(self, id: str, name: str | None = None) -> Iterator[GraphValue]:
        """What the model's graph takes and computes, in its order: what `features` can name. `name`: a pattern."""
        params = {} if name is None else {"name": name}
        return self._transport.page(GraphValue, _path("models", id, "values"), params)

    def dataset(self, id: str) -> Dataset:
        return self._transport.parsed(Dataset, self._transport.get(_path("datasets", id)))

    def models(self) -> Iterator[Model]:
        return self._transport.page(Model, "/v1/models", {})

    def datasets(self) -> Iterator[Dataset]:
        return self._transport.page(Dataset, "/v1/datasets", {})

    def wait_model(self, id: str) -> Model:
        """The model once it is ready. Raises UploadRejected."""
        return self._ready(Model, _path("models", id))

    def wait_dataset(self, id: str) -> Dataset:
        """The dataset once it is ready. Raises UploadRejected."""
        return self._ready(Dataset, _path("datasets", id))

    def declare(self, id: str, declaration: Declaration | Mapping[str, Any]) -> Dataset:
        """Replace a dataset's declaration, before a job has used it. Raises UploadRejected."""
        body = {"declaration": plain(declaration)}
        self._transport.request("PATCH", _path("datasets", id), json=body)
        return self.wait_dataset(id)

    def pin(self, id: str, pinned: bool = True) -> Model | Dataset | Job:
        """Keep a model, dataset or job however old it is, a job with all that it needs; or no longer."""
        kind, where = _kind_of(id)
        return self._transport.parsed(
            kind, self._transport.request("PATCH", _path(where, id), json={"pinned": pinned})
        )

    def propose(self, model: str, dataset: str) -> Proposal:
        """How the dataset could be read for the model; it may have been rejected for its declaration."""
        body = {"model": model, "dataset": dataset}
        response = self._transport.request("POST", "/v1/datasets/propose", json=body)
        return fetch_answer(self._transport, response, Proposal, self._patience)

    def preview(self, dataset: str, model: str, rows: int = 4) -> Preview:
        """What the model would be fed with."""
        asked = {"model": model, "rows": rows}
        response = self._transport.get(_path("datasets", dataset, "preview"), params=asked)
        return fetch_answer(self._transport, response, Preview, self._patience)

    def delete_model(self, id: str) -> None:
        self._transport.request("DELETE", _path("models", id), again=False)

    def delete_dataset(self, id: str) -> None:
        self._transport.request("DELETE", _path("datasets", id), again=False)

    # --- jobs

    def submit(
        self,
        request: JobRequest | Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Job:
        """The job, queued: a `JobRequest`, or the same as a dict, or its fields by name, each a model or a dict:

            winnow.submit(model="mdl_1", recipe={"steps": [{"kind": "int8_dynamic"}]})

        The key makes sure that a try repeated after a lost answer is the same job.
        """
        response = self._transport.request(
            "POST",
            "/v1/jobs",
            content=json.dumps(plain(request or {}) | plain(fields)),
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": idempotency_key or str(uuid.uuid4()),
            },
        )
        return self._transport.parsed(Job, response)

    def dry_run(self, request: JobRequest | Mapping[str, Any] | None = None, **fields: Any) -> DryRun:
        """What the job would come to, and what it would be refused for; takes what `submit` takes. Makes nothing."""
        response = self._transport.request(
            "POST", "/v1/jobs", params={"dry_run": "true"}, json=plain(request or {}) | plain(fields)
        )
        return self._transport.parsed(DryRun, response)

    def job(self, id: str) -> Job:
        return self._transport.parsed(Job, self._transport.get(_path("jobs", id)))

    def jobs(
        self,
        *,
        state: JobState | None = None,
        model: str | None = None,
        tags: dict[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Job]:
        """Newest first; every filter narrows."""
        asked: dict[str, Any] = {
            "state": state,
            "model": model,
            "tag": [f"{key}={value}" for key, value in (tags or {}).items()],
            "since": since and since.isoformat(),
            "until": until and until.isoformat(),
        }
        params = {name: value for name, value in asked.items() if value}
        return self._transport.page(Job, "/v1/jobs", params)

    def watch(self, id: str) -> Iterator[Job]:
        """The job now and after every change, to its end. Outlasts a restart of the service."""
        return self._watched(id, None)

    def wait(self, id: str, timeout: float | None = None) -> Job:
        """The job once it has succeeded or was cancelled.

        Raises JobFailed, which has the job's problem, and TimeoutError when it has not ended after `timeout` seconds;
        the job goes on then.
        """
        *_, last = self._watched(id, timeout)
        if last.state == "failed" and last.problem is not None:
            raise JobFailed(last)
        return last

    def events(self, id: str, after: int | None = None) -> Iterator[LogRecord]:
        """What happens to the job, as it happens, to its end; `after` is the last event id already seen.

        A stream that breaks off is taken up again where it was, for as long as `patience` allows.
        """
        job = self.job(id)
        while True:
            try:
                for record in self._stream_events(id, after):
                    after = record.id
                    yield record
                if job.state in FINISHED:
                    return
            except ServiceUnreachable as error:
                log.info("events of %s broke off: %s", id, error)
            time.sleep(QUICK)
            job = patiently(lambda: self.job(id), self._patience)

    def logs(self, id: str) -> Iterator[LogRecord]:
        return self._transport.page(LogRecord, _path("jobs", id, "logs"), {})

    def cancel(self, id: str) -> Job:
        return self._transport.parsed(Job, self._transport.request("POST", _path("jobs", id, "cancel")))

    def retry(self, id: str) -> Job:
        return self._transport.parsed(
            Job, self._transport.request("POST", _path("jobs", id, "retry"), again=False)
        )

    def delete_job(self, id: str) -> None:
        self._transport.request("DELETE", _path("jobs", id), again=False)

    def report(self, id: str, *, raw: bool = False) -> Report:
        """`raw`: with the time of each single run."""
        params = {"raw": "true"} if raw else None
        return self._transport.parsed(Report, self._transport.get(_path("jobs", id, "report"), params=params))

    def report_page(self, id: str) -> bytes:
        """The report as one HTML file; a worker makes it first where the job has none, which takes the scope `write`.

        Raises ServiceProblem `job_not_finished`, `no_artifact`, `step_failed`, `worker_lost`.
        """
        fetch = partial(self._transport.get, _path("jobs", id, "report"), headers={"Accept": "text/html"})
        try:
            return fetch().content
        except ServiceProblem as problem:
            if problem.code != "no_artifact":
                raise
        asked = self._transport.request("POST", _path("jobs", id, "report", "render"))
        fetch_answer(self._transport, asked, Rendered, self._patience)
        return fetch().content

    def download(
        self, id: str, path: str | Path, on_progress: OnProgress | None = None, *, compressed: bool = False
    ) -> Path:
        """The compressed ONNX, written to `path` (in it, as `<id>.onnx`, when it is a folder).

        A job that failed with `training_diverged` has its best weights so far to give. `compressed`: as zstd on
        the way; the file is the same.
        Raises DamagedTransfer, UnusableFile; ServiceProblem `job_not_finished` or `no_artifact`.
        """
        return self._fetch(id, "artifact", Path(path), f"{id}.onnx", on_progress, compressed)

    def download_curves(self, id: str, path: str | Path, on_progress: OnProgress | None = None) -> Path:
        """The curves of all training steps as a zip, written to `path` (in it, as `<id>-curves.zip`, when it is a
        folder). Raises like `download`; `no_artifact` also when nothing was trained.
        """
        return self._fetch(id, "curves", Path(path), f"{id}-curves.zip", on_progress)

    def card(self, id: str) -> str:
        """The model card, in Markdown."""
        return self._transport.get(_path("jobs", id, "card")).text

    def bom(self, id: str) -> str:
        """The bill of materials, CycloneDX in JSON."""
        return self._transport.get(_path("jobs", id, "bom")).text

    def download_bundle(self, id: str, path: str | Path, on_progress: OnProgress | None = None) -> Path:
        """Artifact, report, page, card, bill of materials and recipe as a zip, written to `path` (in it, as
        `<id>-bundle.zip`, when it is a folder). Raises like `download`.
        """
        target = Path(path)
        target = target / f"{id}-bundle.zip" if target.is_dir() else target
        return fetch_bundle(self._transport, _path("jobs", id, "bundle"), target, on_progress)

    def export(self, id: str, path: str | Path) -> Path:
        """Write a finished job with all that it needs to a tar: request, models, datasets, artifact, report, curves,
        and the trials of a search.

        Raises DamagedTransfer, UnusableFile, and ClientError while it has not finished.
        """
        return export_job(self, self._transport, id, Path(path))

    def import_job(self, path: str | Path) -> Job:
        """Send a job that `export` has written, after its models and datasets; every hash is verified before.

        Raises DamagedTransfer, UnusableFile, UploadRejected.
        """
        return import_job(self, self._transport, Path(path))

    def compare(self, ids: Sequence[str]) -> Comparison:
        """Finished jobs beside each other: from 2 to 20 of them."""
        return self._transport.parsed(
            Comparison, self._transport.get("/v1/compare", params={"jobs": ",".join(ids)})
        )

    # --- the trials of a search

    def trials(
        self, id: str, *, state: TrialState | None = None, pareto: bool | None = None
    ) -> Iterator[Trial]:
        """By their number; every filter narrows. `pareto`: those that no other beats in size, latency and quality, or
        the others."""
        params = {name: value for name, value in (("state", state), ("pareto", pareto)) if value is not None}
        return self._transport.page(Trial, _path("jobs", id, "trials"), params)

    def trial_report(self, id: str, number: int) -> Report:
        return self._transport.parsed(
            Report, self._transport.get(_path("jobs", id, "trials", str(number), "report"))
        )

    def download_trial(
        self,
        id: str,
        number: int,
        path: str | Path,
        on_progress: OnProgress | None = None,
        *,
        compressed: bool = False,
    ) -> Path:
        """The ONNX of one trial, written to `path` (in it, as `<id>-<number>.onnx`, when it is a folder). Raises like
        `download`."""
        url, target = _path("jobs", id, "trials", str(number), "artifact"), Path(path)
        made = next((trial.artifact for trial in self.trials(id) if trial.number == number), None)
        if made is None:
            with self._transport.stream(
                url
            ):  # its problem says why there is none, unless there is one by now
                return self.download_trial(id, number, path, on_progress, compressed=compressed)
        target = target / f"{id}-{number}.onnx" if target.is_dir() else target
        return download(
            self._transport, url, target, made.sha256, made.size_bytes, on_progress, compressed=compressed
        )

    # --- workers

    def workers(self) -> list[Worker]:
        """Those that were seen in the last ten minutes."""
        return self._transport.parsed(Workers, self._transport.get("/v1/workers")).items

    def drain(self, id: str) -> Worker:
        """Have a worker take nothing new."""
        return self._transport.parsed(Worker, self._transport.request("POST", _path("workers", id, "drain")))

    def undrain(self, id: str) -> Worker:
        """Have it take work again."""
        return self._transport.parsed(
            Worker, self._transport.request("POST", _path("workers", id, "undrain"))
        )

    # --- webhooks

    def create_webhook(self, url: str, events: Sequence[EventType]) -> NewWebhook:
        """Have these events told to the address. The secret that signs them is in this answer only."""
        body = {"url": url, "events": [*events]}
        return self._transport.parsed(
            NewWebhook, self._transport.request("POST", "/v1/webhooks", json=body, again=False)
        )

    def webhook(self, id: str) -> Webhook:
        return self._transport.parsed(Webhook, self._transport.get(_path("webhooks", id)))

    def webhooks(self) -> Iterator[Webhook]:
        return self._transport.page(Webhook, "/v1/webhooks", {})

    def delete_webhook(self, id: str) -> None:
        self._transport.request("DELETE", _path("webhooks", id), again=False)

    def deliveries(self, webhook: str) -> Iterator[Delivery]:
        """What was told, newest first, and what became of it."""
        return self._transport.page(Delivery, _path("webhooks", webhook, "deliveries"), {})

    def replay(self, webhook: str, delivery: str) -> Delivery:
        """Have it sent again at once, with the same id and body."""
        path = _path("webhooks", webhook, "deliveries", delivery, "replay")
        return self._transport.parsed(Delivery, self._transport.request("POST", path))

    # --- the parts

    def _watched(self, id: str, timeout: float | None) -> Iterator[Job]:
        return versions(
            self._transport,
            _path("jobs", id),
            Job,
            until=lambda job: job.state in FINISHED,
            patience=self._patience,
            timeout=timeout,
        )

    def _fetch(
        self,
        id: str,
        what: Literal["artifact", "curves"],
        target: Path,
        name: str,
        on_progress: OnProgress | None,
        compressed: bool = False,
    ) -> Path:
        job, url = self.job(id), _path("jobs", id, what)
        made = job.artifact if what == "artifact" else job.curves
        if made is None:
            with self._transport.stream(
                url
            ):  # its problem says why there is none, unless there is one by now
                return self._fetch(id, what, target, name, on_progress, compressed)
        target = target / name if target.is_dir() else target
        return download(
            self._transport, url, target, made.sha256, made.size_bytes, on_progress, compressed=compressed
        )

    def _sent_in_parts(
        self, kind: Literal["models", "datasets"], params: Mapping[str, Any], body: FileBody | PackedBody
    ) -> httpx.Response | None:
        """A large upload outlasts lost connections. None where it is to be sent in one piece."""
        if body.size <= LARGE or len(str(httpx.QueryParams(params))) > MOST_IN_ADDRESS:
            return None
        return send_in_parts(self._transport, kind, params, body, UPLOAD_TIMEOUT, self._patience)

    def _ready(self, kind: type[U], path: str) -> U:
        known = versions(
            self._transport,
            path,
            kind,
            until=lambda it: it.state != "inspecting",
            patience=self._patience,
            wait=WAIT_SECONDS,
        )
        *_, last = known
        if last.state == "rejected" and last.problem is not None:
            raise UploadRejected(last.id, last.problem)
        return last

    def _stream_events(self, id: str, after: int | None) -> Iterator[LogRecord]:
        headers = {"Accept": "text/event-stream"} | ({} if after is None else {"Last-Event-ID": str(after)})
        with self._transport.stream(
            _path("jobs", id, "events"), headers=headers, timeout=TIMEOUT
        ) as response:
            for event in server_events(response.iter_bytes()):
                yield LogRecord.model_validate_json(event.data, extra="ignore")


def _kind_of(id: str) -> tuple[type[Model | Dataset | Job], str]:
    match id[:4]:
        case "mdl_":
            return Model, "models"
        case "dst_":
            return Dataset, "datasets"
        case _:
            return Job, "jobs"


def _path(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _printable_name(path: str | Path) -> str:
    """The file's, as a text that can be sent: a file's name is any bytes, the service's at most 200 characters."""
    return os.fsencode(Path(path).name).decode("utf-8", "replace")[:200]


def _check_arrived(body: FileBody | PackedBody, stored: Model | Dataset) -> None:
    if stored.sha256 != body.sha256:
        raise DamagedTransfer(f"{body.path} has SHA-256 {body.sha256}, the service received {stored.sha256}")
