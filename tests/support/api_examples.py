"""`python -m tests.support.api_examples`: what a running service answered, kept as the examples of its documentation.

Writes `app/api/answers.json`: the name of a model of the contract → instances of it, the one to show first. All of them
come from one service that trained, quantized and measured a small classifier of digits.
"""

import io
import json
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any, Final

import httpx

from tests.support import packages
from tests.support.digits import DECLARATION, digits
from tests.support.service import service

ANSWERS: Final = Path(__file__).parents[2] / "app" / "api" / "answers.json"
SHOWN: Final = 9
"""Entries of the longer lists of a report."""

Answers = dict[str, list[Any]]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        files = digits(Path(name))
        with service(Path(name) / "var") as winnow, httpx.Client(base_url=winnow.url, timeout=60) as http:
            answers = record(http, files.model.read_bytes(), files.data.read_bytes())
    ANSWERS.write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n")


def record(http: httpx.Client, model: bytes, data: bytes) -> Answers:
    """Models, datasets and jobs in every state that shows a field, and what a finished job made."""
    upload = http.post("/v1/models", params={"name": "digits.onnx"}, content=model).json()
    files = {"declaration": (None, DECLARATION.model_dump_json()), "file": ("digits.npz", data)}
    rows = http.post("/v1/datasets", files=files).json()
    bad = http.post("/v1/models", params={"name": "cut.onnx"}, content=bytes([8, 10, 58, 4]) + b"grap").json()
    models = [settled(http, f"/v1/models/{it['id']}") for it in (upload, bad)]
    broken = http.post("/v1/datasets", params={"name": "cut.npz"}, content=cut_npz()).json()
    datasets = [settled(http, f"/v1/datasets/{it['id']}") for it in (rows, broken)]
    jobs = [*snapshots(http, request(upload["id"], rows["id"])), *snapshots(http, too_long(upload["id"]))]
    questions = asked_about(http, upload["id"], rows["id"])
    jobs.append(for_a_gpu(http, upload["id"]))
    workers = at_work(http, upload["id"])
    last = next(job for job in jobs if job["state"] == "succeeded")
    package, of_package = packaged(http)
    return {
        "Model": [*models, package],
        "GraphValue": http.get(f"/v1/models/{upload['id']}/values").json()["items"],
        "Dataset": datasets,
        "Job": [last, *(job for job in jobs if job is not last)],
        "Report": [shortened(http.get(f"/v1/jobs/{last['id']}/report").json()), of_package],
        "Rendered": [http.post(f"/v1/jobs/{last['id']}/report/render").json()],
        "LogRecord": http.get(f"/v1/jobs/{last['id']}/logs").json()["items"][-4:],
        **questions,
        "Comparison": [compared(http, upload["id"], rows["id"])],
        "Alive": [http.get("/livez").json()],
        "Workers": [workers],
        "Worker": workers["items"],
        "ServiceLimits": [http.get("/v1/limits").json()],
        "Readiness": [http.get("/readyz").json()],
        "DryRun": [
            http.post("/v1/jobs", params={"dry_run": "true"}, json=asked).json()
            for asked in (request(upload["id"], rows["id"]), indivisible(upload["id"]))
        ],
        "Problem": [
            http.get("/v1/jobs", params={"statee": "failed", "limit": 0}).json(),
            http.post("/v1/jobs", json=indivisible(upload["id"])).json(),
        ],
    }


def asked_about(http: httpx.Client, model: str, dataset: str) -> Answers:
    """A question that waits, and what was answered in the end."""
    waiting = http.post("/v1/datasets/propose", json={"model": model, "dataset": dataset})
    answered = [
        http.get(waiting.headers["location"], params={"wait": 60}),
        http.get(f"/v1/datasets/{dataset}/preview", params={"model": model, "rows": 2, "wait": 60}),
    ]
    assert [waiting.status_code, *(it.status_code for it in answered)] == [202, 200, 200]
    names = ("Inquiry", "Proposal", "Preview")
    return {name: [it.json()] for name, it in zip(names, (waiting, *answered), strict=True)}


def compared(http: httpx.Client, model: str, dataset: str) -> dict[str, Any]:
    """Two jobs on the same data, beside each other."""
    asked = {**request(model, dataset), "require": {"max_metric_drop": 0.05}}
    kinds = ({"kind": "weight_only"}, {"kind": "int8_dynamic"})
    jobs = [
        snapshots(http, {**asked, "name": kind["kind"], "recipe": {"steps": [kind]}})[-1]["id"]
        for kind in kinds
    ]
    return dict(http.get("/v1/compare", params={"jobs": ",".join(jobs)}).raise_for_status().json())


def request(model: str, dataset: str) -> dict[str, Any]:
    return {
        "model": model,
        "name": "int8 for the phone",
        "tags": {"team": "vision"},
        "recipe": {
            "steps": [
                {"kind": "finetune", "epochs": 3},
                {"kind": "int8_static", "exclude": ["fc"], "samples": 200},
            ]
        },
        "data": {
            "training": {"dataset": dataset, "slice": [0, 1000]},
            "calibration": {"dataset": dataset, "slice": [1000, 1200]},
            "evaluation": {"dataset": dataset, "slice": [1200, 1797]},
        },
        "evaluation": {"metric": "top1"},
        "require": {"max_metric_drop": 0.02, "min_speedup": 20.0},
        "benchmark": {"rounds": SHOWN},
    }


def too_long(model: str) -> dict[str, Any]:
    limits = {"seconds": 1}
    return {"model": model, "recipe": {"steps": [{"kind": "float16"}]}, "limits": limits}


def at_work(http: httpx.Client, model: str) -> dict[str, Any]:
    """The workers while one of them has something to do, that one first."""
    asked = {"model": model, "recipe": {"steps": [{"kind": "float16"}]}, "benchmark": {"rounds": 1000}}
    job = http.post("/v1/jobs", json=asked).raise_for_status().json()["id"]
    while not any((workers := http.get("/v1/workers").json())["items"][n]["doing"] for n in (0, 1)):
        time.sleep(0.1)
    http.post(f"/v1/jobs/{job}/cancel").raise_for_status()
    return {"items": sorted(workers["items"], key=lambda worker: worker["doing"] is None)}


def for_a_gpu(http: httpx.Client, model: str) -> dict[str, Any]:
    """A job that no worker here can do."""
    asked = {"model": model, "recipe": {"steps": [{"kind": "float16"}]}, "needs": ["cuda"], "priority": 5}
    job: dict[str, Any] = http.post("/v1/jobs", json=asked).raise_for_status().json()
    http.post(f"/v1/jobs/{job['id']}/cancel")
    return job


def packaged(http: httpx.Client) -> tuple[dict[str, Any], dict[str, Any]]:
    """A model of two graphs, and what became of it."""
    with tempfile.TemporaryDirectory() as name:
        archive = packages.zipped(Path(name) / "package.zip", packages.pair()).read_bytes()
    upload = http.post("/v1/models", params={"name": "package.zip"}, content=archive).json()
    model = settled(http, f"/v1/models/{upload['id']}")
    recipe = {"steps": [{"kind": "int8_dynamic"}]}
    job = snapshots(http, {"model": model["id"], "recipe": recipe, "benchmark": {"rounds": SHOWN}})[-1]
    return model, shortened(http.get(f"/v1/jobs/{job['id']}/report").json())


def indivisible(model: str) -> dict[str, Any]:
    step = {"kind": "sparsity", "structure": "2:4", "criterion": "magnitude", "layers": ["conv1"]}
    return {"model": model, "recipe": {"steps": [step]}}


def cut_npz() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", b"numbers")
    return buffer.getvalue()


def snapshots(http: httpx.Client, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The job as it was seen: waiting, at work, at its end."""
    seen = [http.post("/v1/jobs", json=asked).raise_for_status().json()]
    while seen[-1]["finished_at"] is None:
        time.sleep(0.05)
        job = http.get(f"/v1/jobs/{seen[0]['id']}").json()
        shows = (job["state"], job["seconds_left"] is None, job["step"] is None)
        before = (seen[-1]["state"], seen[-1]["seconds_left"] is None, seen[-1]["step"] is None)
        seen += [job] if shows != before else []
    return seen


def settled(http: httpx.Client, path: str) -> dict[str, Any]:
    while (shown := dict(http.get(path).json()))["state"] == "inspecting":
        time.sleep(0.1)
    return shown


def shortened(value: Any) -> Any:
    """Lists of many numbers cut short."""
    if isinstance(value, dict):
        return {name: shortened(part) for name, part in value.items()}
    return [shortened(part) for part in value[:SHOWN]] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
