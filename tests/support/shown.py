"""A service on which there is one of everything that pages show, without a worker: the test plays it."""

import json
import time
from dataclasses import dataclass
from typing import Any, Final

from app.api.openapi import corpus
from app.storage.ids import study_of
from app.storage.records import Decision, Event, Study
from tests.app.api.conftest import ONNX, zipped
from tests.support.facts import dataset_facts, model_facts
from tests.support.records import a_trial, a_worker
from tests.support.served import Served
from winnow.contract.errors import Refusal

HOSTILE: Final = "<img src=x onerror=alert(1)>\"'&"
SEARCH: Final[dict[str, Any]] = {
    "recipe": {"steps": [{"kind": "weight_only", "bits": {"any_of": [8, 4]}}]},
    "search": {"objective": "size", "budget": {"trials": 4}},
}
HTML: Final = {"Accept": "text/html"}


@dataclass(frozen=True)
class World:
    """Ids: a model and a dataset that are ready, others that were rejected, and jobs by how they stand."""

    model: str
    rejected_model: str
    inspected_model: str
    dataset: str
    rejected_dataset: str
    queued: str
    failed: str
    searching: str
    finished: list[str]

    def pages(self) -> dict[str, str]:
        """What a page shows → its address, each kind of page in each state that looks different."""
        return {
            "home": "/",
            "models": "/models",
            "a model": f"/models/{self.model}",
            "a rejected model": f"/models/{self.rejected_model}",
            "a model that is inspected": f"/models/{self.inspected_model}",
            "a job to be put together": f"/models/{self.model}/compress?dataset={self.dataset}",
            "a job without data": f"/models/{self.model}/compress",
            "a job with data for each role": f"/models/{self.model}/compress?calibration={self.dataset}"
            f"&evaluation={self.dataset}&evaluation_rows=0:9",
            "data": "/datasets",
            "a dataset": f"/datasets/{self.dataset}",
            "a rejected dataset": f"/datasets/{self.rejected_dataset}",
            "a preview that waits": f"/datasets/{self.dataset}/preview?model={self.model}",
            "jobs": "/jobs",
            "a job that waits": f"/jobs/{self.queued}",
            "a job that failed": f"/jobs/{self.failed}",
            "a job that searches": f"/jobs/{self.searching}",
            "a job that succeeded": f"/jobs/{self.finished[0]}",
            "jobs to compare": "/compare",
            "a comparison": f"/compare?jobs={','.join(self.finished)}",
            "workers": "/workers",
            "steps": "/steps",
            "a step": "/steps/finetune",
            "without scripts": "/without-scripts",
            "a page that is none": "/nothing",
        }


def world(api: Served, name: str = "net", owner: str = "local") -> World:
    """`name` is what everything is called, layers and inputs too."""
    model, rejected, inspected = (_model(api, name, bytes([n])) for n in range(3))
    layers = [{"name": name, "op": "Conv", "weight": [8, 3, 3, 3], "macs": 1}]
    api.inspected(model, model_facts(layers=layers, operators={name: 2}).model_dump())
    api.finish(rejected, state="rejected", problem=_problem(f"The graph {name} is none.", name))
    dataset, refused = (_dataset(api, name, bytes([n])) for n in range(2))
    api.inspected(dataset, dataset_facts(notes=[name], classes=[name]).model_dump())
    problem = Refusal("invalid_declaration", f"There is no {name}.", field=name).problem.model_dump()
    api.finish(refused, state="rejected", problem=problem)
    queued, failed, first, second = (_job(api, model, dataset, f"{name} {n}") for n in range(4))
    api.finish(failed, state="failed", problem=_problem(f"{name} failed.", name))
    for number, job in enumerate((first, second)):
        succeeded(api, job, 5000 + 1000 * number)
    searching = _searching(api, owner, model, name)
    api.parts.records.worker_seen(a_worker(host=name[:100]), 0.0)
    return World(model, rejected, inspected, dataset, refused, queued, failed, searching, [first, second])


def succeeded(api: Served, job: str, size: int, *, paged: bool = True, **changes: Any) -> None:
    """The job ends with the report of the documentation, of a result of this size, and its page where that is told."""
    page = _blob(api, b"<!doctype html><title>a report</title>") if paged else None
    report = {**corpus()["Report"][0], "outcome": "accepted", **changes}
    report["size_bytes"] = {**report["size_bytes"], "after": size}
    made = {"report_sha256": _blob(api, json.dumps(report).encode())}
    made |= {"artifact_sha256": _blob(api, b"small"), "artifact_bytes": 5, "page_sha256": page}
    claimed = api.claim(job)
    values = {"step": 1, "loss": 0.5}
    events = [
        Event(
            job=job, attempt=1, time=time.time(), type="log", message="trained", values={**values, "step": n}
        )
        for n in (1, 2)
    ]
    api.parts.records.report(job, claimed.attempt, step=None, progress=1.0, seconds_left=None, events=events)
    done = {"state": "succeeded", "outcome": "accepted", "requirements": report["requirements"], **made}
    assert api.parts.records.finish(job, claimed.attempt, time.time(), done)


def _model(api: Served, name: str, content: bytes) -> str:
    sent = ONNX[:4] + content + ONNX[5:]
    return str(api.http.post("/v1/models", params={"name": name}, content=sent).json()["id"])


def _dataset(api: Served, name: str, content: bytes) -> str:
    sent = zipped({"x.npy": content})
    return str(api.http.post("/v1/datasets", params={"name": name}, content=sent).json()["id"])


def _job(api: Served, model: str, dataset: str, name: str) -> str:
    """One that trains."""
    recipe = {"steps": [{"kind": "finetune"}]}
    data = {"training": {"dataset": dataset}}
    asked = {"model": model, "name": name, "recipe": recipe, "data": data, "tags": {name: name}}
    answer = api.http.post("/v1/jobs", json=asked)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _searching(api: Served, owner: str, model: str, name: str) -> str:
    """With trials of every state, some of which are measured."""
    id = str(api.http.post("/v1/jobs", json={"model": model, "name": name, **SEARCH}).json()["id"])
    job, study = api.parts.records.job(owner, id), api.claim(study_of(id))
    assert job is not None
    assert isinstance(study, Study)
    trials = [a_trial(job, number, max_attempts=1, owner=owner) for number in range(4)]
    decision = Decision(add=trials, job={"state": "running", "progress": 0.4})
    assert api.parts.records.settle(study.id, study.attempt, time.time(), study.news, decision)
    for trial, size, drop in zip(trials, (6000, 5000), (0.01, 0.03), strict=False):
        metrics = {"top1": {"before": 0.9, "after": 0.9 - drop, "drop": drop, "interval": [0.0, 2 * drop]}}
        speedup = {"value": 1.5, "interval": [1.4, 1.6]}
        result = {"size_bytes": size, "speedup": speedup, "metrics": metrics, "requirements": []}
        made = {"artifact_sha256": _blob(api, b"small"), "artifact_bytes": 5}
        api.finish(trial.id, state="finished", result=result, worker=name[:50], **made)
    api.finish(trials[2].id, state="failed", problem=_problem(f"{name} diverged.", None))
    return id


def _problem(detail: str, layer: str | None) -> dict[str, Any]:
    return Refusal("step_failed", detail, layer=layer).problem.model_dump()


def _blob(api: Served, content: bytes) -> str:
    writer = api.parts.blobs.writer()
    writer.write(content)
    return writer.commit()[0]
