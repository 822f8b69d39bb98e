"""What is logged and traced of the work names it, whoever does it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.storage.records import Study, Trial
from app.storage.searches import study_for
from tests.support.logged import entries, logged
from tests.support.records import a_job, a_trial, an_inquiry, an_upload
from tests.support.traced import traced
from tests.worker.test_runner import Bench
from worker.named_work import names_of

pytestmark = pytest.mark.usefixtures("forked_children")

ORIGIN = {"request_id": "the-one", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    with traced() as exporter:
        yield exporter


def queued(bench: Bench, order: str = "babble") -> str:
    """A job that a traced request has made."""
    model = bench.model()
    request = {
        "model": model.id,
        "recipe": {"steps": [{"kind": "int8_dynamic", "exclude": [order]}]},
        "limits": {},
    }
    job = a_job(model, created_at=1.0, request=request, origin=ORIGIN)
    return bench.records.add_job(job, None)[0].id


def test_everything_is_called_by_what_its_user_knows() -> None:
    model, data = an_upload(id="mdl_1"), an_upload(kind="dataset", id="dst_1")
    job = a_job(id="job_1", attempt=2)
    both = {"owner": "local", "attempt": 0}
    assert names_of(model) == {**both, "model": "mdl_1"}
    assert names_of(data) == {**both, "dataset": "dst_1"}
    assert names_of(an_inquiry(model, data, id="inq_1")) == {**both, "inquiry": "inq_1"}
    assert names_of(replace(job, origin=ORIGIN)) == {
        "owner": "local",
        "attempt": 2,
        "job": "job_1",
        "request_id": "the-one",
    }
    trial: Trial = a_trial(job, 3)
    assert names_of(trial) == {**both, "job": "job_1", "trial": 3}
    study = Study(id="stu_1", state="due", created_at=1.0, job="job_1")
    assert names_of(study) == {**both, "job": "job_1"}


def test_what_worker_and_child_log_names_job_attempt_owner_and_request(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    id = queued(bench)
    with logged() as lines:
        bench.runner.run(id)
    told = entries(lines())
    of_child = [entry for entry in told if "x" * 1000 in entry["message"]]
    of_worker = [entry for entry in told if entry["logger"] == "worker.runner"]
    assert of_child
    assert of_worker
    for entry in (*of_child, *of_worker):
        named = {name: entry[name] for name in ("job", "attempt", "owner", "request_id")}
        assert named == {"job": id, "attempt": 1, "owner": "local", "request_id": "the-one"}


def test_a_job_is_one_trace_from_the_request_to_its_steps(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    bench = Bench(tmp_path)
    id = queued(bench, "succeed")
    bench.runner.run(id)
    assert bench.state(id).state == "succeeded"
    found = {span.name: span for span in spans.get_finished_spans()}
    assert found.keys() == {"wait", "attempt at job", "prepare", "child", "int8_static", "store"}
    contexts = {name: span.context for name, span in found.items()}
    assert {f"{it.trace_id:032x}" for it in contexts.values() if it} == {ORIGIN["traceparent"].split("-")[1]}
    ids = {it.span_id: name for name, it in contexts.items() if it}
    parents = {name: ids.get(span.parent.span_id) for name, span in found.items() if span.parent}
    assert parents == {
        "wait": None,
        "attempt at job": None,
        "prepare": "attempt at job",
        "child": "attempt at job",
        "int8_static": "child",
        "store": "attempt at job",
    }
    attributes = dict(found["attempt at job"].attributes or {})
    assert (attributes["winnow.job"], attributes["winnow.attempt"]) == (id, 1)


def test_trials_and_studies_go_on_with_the_trace_of_their_job() -> None:
    assert study_for(a_job(searches=True, origin=ORIGIN)).origin == ORIGIN
