"""Requests that schemathesis generates from the OpenAPI document, sent to a service that has something to find."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from tests.support.api_examples import settled
from tests.support.digits import DECLARATION, digits
from tests.support.service import Service, service

NOT_MEANT = ("object_level_authorization",)
"""What other owners may not see, `tests/app/api/test_isolation.py` asks of every route."""
ADMIN_KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c"


@dataclass(frozen=True)
class Target:
    """A service and the ids of what it has: the first of each kind is ready, or finished. `key` opens all of it."""

    url: str
    models: list[str]
    datasets: list[str]
    jobs: list[str]
    key: str = ADMIN_KEY

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@dataclass(frozen=True)
class Outcome:
    """How many cases were sent, which checks they failed, how often each operation answered each status (`get_job
    200`), and what the program printed."""

    cases: int
    failures: list[str]
    answers: dict[str, int]
    text: str

    @property
    def succeeded(self) -> set[str]:
        """The operations that did what was asked for at least once."""
        return {name for name, status in map(str.split, self.answers) if status.startswith("2")}


@contextmanager
def target(folder: Path) -> Iterator[Target]:
    """`winnow serve` with a model, a dataset and a job that came to its end, then without workers: others wait."""
    (folder / "admin.key").write_text(ADMIN_KEY)
    asks = {"WINNOW_AUTH": "keys", "WINNOW_ADMIN_KEY_FILE": folder / "admin.key"}
    known = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with service(folder / "var", **asks) as winnow:
        files = digits(folder)
        with httpx.Client(base_url=winnow.url, timeout=30, headers=known) as http:
            made = _ready(http, files.model.read_bytes(), files.data.read_bytes())
        winnow.stop()
        winnow.gone(10)
        again = Service(folder / "var", "--no-workers", **asks)
        try:
            again.start()
            with httpx.Client(base_url=again.url, timeout=30, headers=known) as http:
                waiting = http.post("/v1/jobs", json=_job(made.models[0])).json()["id"]
            yield Target(again.url, made.models, made.datasets, [*made.jobs, waiting])
        finally:
            again.stop()


def run(to: Target, folder: Path, seed: int, *options: str) -> Outcome:
    """Sends what schemathesis generates with these options, and applies all its checks that are meant here."""
    folder.mkdir(exist_ok=True)
    report, answered = folder / "report.json", folder / "answers.json"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{to.url}/openapi.json", *options),
        *("--header", f"Authorization: Bearer {to.key}"),
        *("--seed", str(seed), "--no-shrink", "--continue-on-failure"),
        *("--checks", "all", "--exclude-checks", ",".join(NOT_MEANT)),
        *("--report", "json", "--report-json-path", str(report)),
    ]
    variables = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "SCHEMATHESIS_HOOKS": "tests.support.generated_hooks",
        "WINNOW_GENERATED": json.dumps(asdict(to) | {"answers": str(answered)}),
    }
    environment = os.environ | variables
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    if not report.exists():
        raise RuntimeError(f"schemathesis did not run:\n{text[-3000:]}")
    told, answers = json.loads(report.read_text()), json.loads(answered.read_text())
    failures = [f"{it['title']}: {', '.join(it['operations'])}" for it in told["failures"]]
    return Outcome(told["test_cases"]["generated"], failures, answers, text)


def _ready(http: httpx.Client, model: bytes, data: bytes) -> Target:
    upload = http.post("/v1/models", content=model).json()["id"]
    form = {"declaration": (None, DECLARATION.model_dump_json()), "file": ("digits.npz", data)}
    rows = http.post("/v1/datasets", files=form).json()["id"]
    settled(http, f"/v1/models/{upload}")
    settled(http, f"/v1/datasets/{rows}")
    job = http.post("/v1/jobs", json=_training(upload, rows)).raise_for_status().json()["id"]
    while (shown := http.get(f"/v1/jobs/{job}").json())["finished_at"] is None:
        time.sleep(0.1)
    assert shown["curves"] is not None, shown
    return Target("", [upload], [rows], [job])


def _training(model: str, dataset: str) -> dict[str, object]:
    """A job that leaves all that a job can: artifact, report, and curves of its training."""
    steps = [{"kind": "finetune", "epochs": 1}]
    return {**_job(model), "recipe": {"steps": steps}, "data": {"training": {"dataset": dataset}}}


def _job(model: str) -> dict[str, object]:
    return {"model": model, "recipe": {"steps": [{"kind": "float16"}]}, "benchmark": {"rounds": 9}}
