"""A bundle as a run of an MLflow tracking server: figures as metrics, settings as parameters, files as artifacts.

Spoken over MLflow's REST API (https://mlflow.org/docs/latest/rest-api.html), since `mlflow` itself brings ninety
packages for these six requests. Who asks is told as MLflow's own client does: by MLFLOW_TRACKING_TOKEN, or
MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
"""

import operator
import os
import tempfile
import time
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx

from winnow.client.bundle import Bundle
from winnow.client.errors import ClientError
from winnow.client.files import chunks_of
from winnow.contract.bundle.files import CARD
from winnow.contract.report import Report

API: Final = "/api/2.0/mlflow"
ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"
TIMEOUT: Final = httpx.Timeout(600.0, connect=10.0)
MAX_NOTE_CHARACTERS: Final = 5000
"""Of a tag's value."""
FRONT_MATTER: Final = "---\n"


class MlflowServer:
    """`address` is that of the server; `http` replaces the connection (tests)."""

    def __init__(self, address: str, http: httpx.Client | None = None) -> None:
        self.address = address.rstrip("/")
        self._http = http or _connection(self.address)

    def __enter__(self) -> "MlflowServer":
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def push(self, bundle: Bundle, experiment: str, name: str) -> str:
        """Log the bundle as a finished run of the experiment, made where there is none; the run's id.

        Raises `ClientError` where the server refuses something, or keeps artifacts where only MLflow's own client
        gets to. The run is then marked as failed.
        """
        asked = {
            "experiment_id": self._experiment(experiment),
            "run_name": name,
            "start_time": _now(),
            "tags": _pairs(_tags(bundle)),
        }
        run = self._post("runs/create", asked)
        id, place = (str(self._part(run, "run", "info", name)) for name in ("run_id", "artifact_uri"))
        status = "FAILED"
        try:
            metrics = [
                {**each, "timestamp": _now(), "step": 0} for each in _pairs(dict(_metrics(bundle.report)))
            ]
            logged = {"run_id": id, "metrics": metrics, "params": _pairs(_params(bundle))}
            self._post("runs/log-batch", logged)
            self._send_files(bundle, place)
            status = "FINISHED"
        finally:
            self._post("runs/update", {"run_id": id, "status": status, "end_time": _now()})
        return id

    def _experiment(self, name: str) -> str:
        path = f"{API}/experiments/get-by-name"
        answer = self._request("GET", path, params={"experiment_name": name}, missing=True)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return str(self._part(self._post("experiments/create", {"name": name}), "experiment_id"))
        return str(self._part(answer, "experiment", "experiment_id"))

    def _send_files(self, bundle: Bundle, artifact_uri: str) -> None:
        place = urlsplit(artifact_uri)
        if place.scheme != "mlflow-artifacts":
            raise ClientError(
                f"{self.address} keeps artifacts at {place.scheme or 'a folder'}, which only MLflow's own client "
                "writes to; start the server with --serve-artifacts"
            )
        folder = place.path.strip("/")
        with tempfile.TemporaryDirectory(prefix="winnow-push-") as unpacked:
            for path in bundle.extract(Path(unpacked)):
                where = f"{ARTIFACTS}/{quote(folder)}/{quote(path.name)}"
                headers = {
                    "Content-Length": str(path.stat().st_size),
                    "Content-Type": "application/octet-stream",
                }
                self._request("PUT", where, content=chunks_of(path), headers=headers)

    def _post(self, what: str, body: dict[str, Any]) -> httpx.Response:
        return self._request("POST", f"{API}/{what}", json=body)

    def _part(self, response: httpx.Response, *names: str) -> Any:
        """What the answer has by these names, one within the other. Raises `ClientError` where it has not."""
        try:
            return reduce(operator.getitem, names, response.json())
        except (ValueError, KeyError, TypeError) as error:
            raise ClientError(
                f"{self.address} does not answer as an MLflow server does: HTTP {response.status_code}, "
                f"{response.headers.get('content-type', 'no content type')}"
            ) from error

    def _request(self, method: str, path: str, *, missing: bool = False, **options: Any) -> httpx.Response:
        """An answer below 400, or with `missing` also one that there is no such thing."""
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ClientError(f"no MLflow server answers at {self.address} ({error})") from error
        if answer.status_code < 400 or (missing and answer.status_code == httpx.codes.NOT_FOUND):
            return answer
        why = " ".join(answer.text.split())[:200]
        raise ClientError(f"the MLflow server refuses {path}: HTTP {answer.status_code}, {why}")


def _tags(bundle: Bundle) -> dict[str, str]:
    report = bundle.report
    return {
        "mlflow.note.content": bundle.text(CARD).split(FRONT_MATTER, 2)[-1][:MAX_NOTE_CHARACTERS],
        "winnow.graph_sha256": report.graph_sha256,
        "winnow.source_sha256": report.source_sha256,
        "winnow.version": report.winnow,
        "winnow.outcome": report.outcome,
    }


def _params(bundle: Bundle) -> dict[str, str]:
    job = bundle.recipe.job
    steps = "" if job is None else ", ".join(step.kind for step in job.recipe.steps)
    return {"steps": steps, "seed": str(bundle.report.seed), "cpu": bundle.report.environment.cpu}


def _metrics(report: Report) -> Iterator[tuple[str, float]]:
    pairs = {
        "size_bytes": report.size_bytes,
        "compressed_bytes": report.compressed_bytes,
        "parameters": report.parameters,
        "macs": report.macs,
        "load_ms": report.load_ms,
        "peak_rss_bytes": report.peak_rss_bytes,
    }
    for name, pair in pairs.items():
        if pair is not None:
            yield f"{name}_before", pair.before
            yield name, pair.after
    for quality in report.quality:
        yield f"{quality.metric}_before", quality.before
        yield quality.metric, quality.after
    for entry in report.latency:
        where = f"batch_{entry.batch_size}_threads_{entry.threads}"
        yield f"latency_ms_{where}", entry.candidate_ms.p50
        if entry.speedup is not None:
            yield f"speedup_{where}", entry.speedup


def _pairs(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _now() -> int:
    return int(time.time() * 1000)


def _connection(address: str) -> httpx.Client:
    try:
        return httpx.Client(base_url=address, timeout=TIMEOUT, auth=_auth(), headers=_headers())
    except httpx.InvalidURL as error:
        raise ClientError(f"{address!r} is not an address of an MLflow server: {error}") from error


def _auth() -> tuple[str, str] | None:
    name = os.environ.get("MLFLOW_TRACKING_USERNAME")
    return None if name is None else (name, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))


def _headers() -> dict[str, str]:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {} if token is None else {"Authorization": f"Bearer {token}"}
