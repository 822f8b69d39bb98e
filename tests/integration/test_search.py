"""A search from the request to the artifact: real HTTP, real workers, real trials; and what killing does to it."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.digits import DECLARATION, digits
from tests.support.service import Service, send, service
from winnow.client import Client
from winnow.contract.graph_hash import graph_sha256
from winnow.contract.job import Job
from winnow.contract.split import rows_of

pytestmark = pytest.mark.integration

TRIALS = 3
STEPS = [{"kind": "weight_only", "bits": {"any_of": [8, 4, 3]}, "method": {"any_of": ["rtn", "hqq"]}}]


def submitted(client: Client, folder: Path, **more: Any) -> Job:
    files = digits(folder, rows=600)
    return client.submit(
        model=client.upload_model(files.model).id,
        recipe={"steps": STEPS},
        search={"objective": "size", "budget": {"trials": TRIALS}},
        data={"dataset": client.upload_dataset(files.data, DECLARATION).id},
        evaluation={"metric": "top1"},
        require={"max_metric_drop": 0.1},
        benchmark={"rounds": 9},
        **more,
    )


def trials(client: Client, job: str) -> list[tuple[Any, ...]]:
    return [
        (t.number, t.state, t.recipe and t.recipe.model_dump_json(), t.size_bytes) for t in client.trials(job)
    ]


def killed(winnow: Service, client: Client, job: str, finished: int) -> None:
    """Kill the workers once so many trials have finished, if it comes to that before the end."""
    while client.job(job).state in ("queued", "running"):
        if sum(trial.state == "finished" for trial in client.trials(job)) >= finished:
            send(winnow.workers("cpu"), signal.SIGKILL)
            return
        time.sleep(0.2)


@pytest.fixture(scope="module")
def searching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    lease = {"WINNOW_LEASE_SECONDS": 3, "WINNOW_MAX_ATTEMPTS": 9}
    with service(tmp_path_factory.mktemp("searching") / "var", **lease) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(searching: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Job]]:
    with Client(searching.url) as client:
        yield client, client.wait(submitted(client, tmp_path_factory.mktemp("undisturbed")).id)


def test_a_search_ends_with_its_best_trial_judged_on_rows_that_no_choice_has_seen(
    undisturbed: tuple[Client, Job], tmp_path: Path
) -> None:
    client, job = undisturbed
    assert (job.state, job.outcome) == ("succeeded", "accepted")
    report = client.report(job.id)
    done = {trial.number: trial for trial in client.trials(job.id)}
    assert len(done) == TRIALS
    assert report.search is not None
    assert report.search.chosen is not None
    best = done[report.search.chosen]
    sizes = [t.size_bytes for t in done.values() if t.state == "finished" and t.meets and t.size_bytes]
    assert best.size_bytes == min(sizes)
    assert graph_sha256(client.download(job.id, tmp_path / "a.onnx")) == graph_sha256(
        client.download_trial(job.id, best.number, tmp_path / "b.onnx")
    )
    assert report.split is not None
    judged, chosen = set(rows_of(report.split, "final")), set(rows_of(report.split, "selection"))
    assert report.quality[0].samples == len(judged)
    assert client.trial_report(job.id, best.number).quality[0].samples == len(chosen)
    page = client.report_page(job.id).decode()
    assert f"{len(judged)} samples are answered differently" in page
    assert "Samples that differ" in page
    assert not judged & chosen
    assert any(trial.pareto for trial in done.values())


def test_what_a_trial_logs_stands_in_the_log_of_the_job(undisturbed: tuple[Client, Job]) -> None:
    client, job = undisturbed
    messages = [record.message for record in client.logs(job.id)]
    for who in ("Trial 0: weight_only: ", f"Trial {TRIALS - 1}: weight_only: "):
        assert any(message.startswith(who) for message in messages), who


def test_a_search_whose_workers_are_killed_ends_like_an_undisturbed_one(
    searching: Service, undisturbed: tuple[Client, Job], tmp_path: Path
) -> None:
    client, before = undisturbed
    id = submitted(client, tmp_path).id
    for number in range(2):
        killed(searching, client, id, number)
    job = client.wait(id)
    assert (job.state, job.outcome, job.graph_sha256) == (before.state, before.outcome, before.graph_sha256)
    assert trials(client, id) == trials(client, before.id)
