"""Jobs: asked for, looked at, listed, cancelled, tried again, deleted."""

import time
from typing import Any

import pytest

from app.storage.ports import Gone
from app.storage.records import Wake
from tests.support.facts import dataset_facts, model_facts
from tests.support.records import a_worker
from tests.support.served import Served
from winnow.contract.errors import Refusal
from winnow.contract.job import Job
from winnow.contract.report import RequirementResult

STEPS = {"steps": [{"kind": "float16"}]}
MET = RequirementResult(name="min_speedup", asked=1, measured=2, interval=(1.5, 2.5), met=True, why=None)


def submit(api: Served, model: str, key: str | None = None, **fields: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return api.http.post("/v1/jobs", json={"model": model, "recipe": STEPS, **fields}, headers=headers)


def train(api: Served, model: str, dataset: str) -> Any:
    recipe = {"steps": [{"kind": "finetune"}]}
    return submit(api, model, recipe=recipe, data={"training": {"dataset": dataset}})


def stored(api: Served, content: bytes) -> str:
    """The hash of these bytes, now a blob."""
    writer = api.parts.blobs.writer()
    writer.write(content)
    return writer.commit()[0]


def succeed(api: Served, job: str, page: bytes | None = None) -> str:
    """What a worker does at the end. Answers the artifact's hash."""
    hashes = [stored(api, content) for content in (b"small", b'{"report": 1}')]
    api.finish(
        job,
        state="succeeded",
        outcome="accepted",
        requirements=[MET.model_dump()],
        artifact_sha256=hashes[0],
        artifact_bytes=5,
        report_sha256=hashes[1],
        page_sha256=None if page is None else stored(api, page),
    )
    return hashes[0]


def test_a_job_is_recorded_then_announced(api: Served, model: str) -> None:
    answer = submit(api, model)
    job = Job.model_validate(answer.json())
    assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/jobs/{job.id}")
    assert (job.state, job.queue_position, job.progress) == ("queued", 1, 0)
    assert (api.queue.published[-1].queue, api.queue.published[-1].id) == ("cpu", job.id)
    assert api.http.get(f"/v1/jobs/{job.id}").json() == answer.json()


@pytest.mark.parametrize(
    ("workers", "status"),
    [
        ([], 202),
        ([("work", {})], 202),
        ([("work", {"onnxruntime-cpu": "1"})], 422),
        ([("work", {"onnxruntime-cpu": "1"}), ("inspect", {"openvino-cpu": "1"})], 422),
        ([("work", {"onnxruntime-cpu": "1"}), ("work", {"openvino-cpu": "1"})], 202),
    ],
    ids=["none", "unknown", "without", "only an inspector", "another"],
)
def test_a_target_that_no_worker_has_is_refused(
    workers: list[tuple[str, dict[str, str]]], status: int, api: Served, model: str
) -> None:
    for queue, runtimes in workers:
        api.parts.records.worker_seen(a_worker(queues=(queue,), runtimes=runtimes), 0.0)
    answer = submit(api, model, target="openvino-cpu")
    assert answer.status_code == status
    if status == 422:
        assert (answer.json()["code"], answer.json()["field"]) == ("target_unavailable", "target")
        assert "they have onnxruntime-cpu" in answer.json()["detail"]
    else:
        assert answer.json()["target"] == "openvino-cpu"
    assert submit(api, model).json()["target"] == "onnxruntime-cpu"


def test_a_job_waits_for_a_worker_that_has_what_it_needs(
    api: Served, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.waiting_for.FRESH_SECONDS", -1.0)
    job = submit(api, model, needs=["cuda"], priority=3).json()
    assert (job["needs"], job["priority"]) == (["cuda"], 3)
    assert job["waiting_for"] == {"capability": "cuda", "since": job["created_at"]}
    assert api.queue.published[-1] == Wake(queue="cuda", id=job["id"])
    tag = api.http.get(f"/v1/jobs/{job['id']}").headers["etag"]
    for queues, waits in ((("cpu", "work"), True), (("cuda",), False)):
        api.parts.records.worker_seen(a_worker(queues=queues), 0.0)
        answer = api.http.get(f"/v1/jobs/{job['id']}", headers={"if-none-match": tag})
        assert answer.status_code == (304 if waits else 200)
        (listed,) = api.http.get("/v1/jobs").json()["items"]
        assert (listed["waiting_for"] is not None) == waits
    for worker in api.parts.records.workers(0.0):
        api.parts.records.drain(worker.id)
    assert api.http.get(f"/v1/jobs/{job['id']}").json()["waiting_for"]["capability"] == "cuda"
    api.claim(job["id"])
    assert api.http.get(f"/v1/jobs/{job['id']}").json()["waiting_for"] is None


@pytest.mark.parametrize(
    ("asked", "needs"),
    [
        ({}, ["cpu"]),
        ({"needs": ["work"]}, ["cpu"]),
        ({"target": "onnxruntime-cuda"}, ["cuda"]),
        ({"target": "onnxruntime-cuda", "needs": ["big", "big"]}, ["big", "cuda"]),
    ],
)
def test_a_target_implies_what_it_needs(
    asked: dict[str, Any], needs: list[str], api: Served, model: str
) -> None:
    assert submit(api, model, **asked).json()["needs"] == needs


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"needs": ["inspect"]}, "needs.0"),
        ({"needs": ["Big GPU"]}, "needs.0"),
        ({"needs": ["a", "b", "c", "d", "e"]}, "needs"),
        ({"needs": "cuda"}, "needs"),
        ({"priority": 11}, "priority"),
        ({"priority": 0.5}, "priority"),
    ],
)
def test_what_no_worker_can_have_is_refused(
    asked: dict[str, Any], field: str, api: Served, model: str
) -> None:
    answer = submit(api, model, **asked)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_model_that_is_not_ready_is_a_conflict(api: Served, onnx: bytes) -> None:
    model = api.http.post("/v1/models", content=onnx).json()["id"]
    answer = submit(api, model)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
        409,
        "model_not_ready",
        "model",
    )
    api.finish(model, state="rejected", problem=model_problem())
    assert "needs custom operators" in submit(api, model).json()["detail"]


def model_problem() -> dict[str, Any]:
    return Refusal("custom_operator", "needs custom operators").problem.model_dump()


def test_a_model_or_dataset_that_is_not_there_names_the_field(api: Served, model: str) -> None:
    assert submit(api, "mdl_none").json()["field"] == "model"
    answer = submit(api, model, data={"evaluation": {"dataset": "dst_none"}})
    assert (answer.status_code, answer.json()["field"]) == (404, "data.evaluation.dataset")


def test_admission_is_asked(api: Served, onnx: bytes) -> None:
    model = api.http.post("/v1/models", content=onnx).json()["id"]
    api.inspected(model, model_facts(quantized=True).model_dump())
    answer = submit(api, model, recipe={"steps": [{"kind": "int8_dynamic"}]})
    assert (answer.status_code, answer.json()["code"]) == (422, "already_quantized")
    assert answer.json()["field"] == "recipe.steps.0.kind"


def test_the_same_key_and_body_are_the_same_job(api: Served, model: str) -> None:
    first, again, other = submit(api, model, "k"), submit(api, model, "k"), submit(api, model, "other")
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]
    assert (again.status_code, len(api.queue.published)) == (202, 3)


def test_the_same_key_finds_the_job_although_its_model_is_gone(api: Served, model: str) -> None:
    job = submit(api, model, "k").json()["id"]
    api.http.post(f"/v1/jobs/{job}/cancel")
    assert api.http.delete(f"/v1/models/{model}").status_code == 204
    assert (submit(api, model, "k").json()["id"], submit(api, model).status_code) == (job, 404)


def test_the_same_key_with_another_body_is_refused(api: Served, model: str) -> None:
    submit(api, model, "k")
    answer = submit(api, model, "k", seed=1)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_conflict")


@pytest.mark.parametrize("key", ["", "x" * 201, "a b", "é"])
def test_a_key_that_is_none_is_refused(api: Served, model: str, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    answer = api.http.post("/v1/jobs", json={"model": model, "recipe": STEPS}, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (422, "idempotency-key")


def test_polling_costs_nothing_until_something_changes(api: Served, job: str) -> None:
    url = f"/v1/jobs/{job}"
    tags = [api.http.get(url).headers["etag"]]
    assert api.http.get(url, headers={"If-None-Match": tags[0]}).status_code == 304
    attempt = api.claim(job).attempt
    tags.append(api.http.get(url).headers["etag"])
    for progress in (0.25, 0.5):
        step = {"index": 0, "kind": "float16", "progress": progress}
        api.parts.records.report(job, attempt, step=step, progress=progress, seconds_left=42)
        answer = api.http.get(url, headers={"If-None-Match": tags[-1]})
        assert (answer.status_code, answer.json()["progress"]) == (200, progress)
        tags.append(answer.headers["etag"])
    api.parts.records.finish(job, attempt, time.time(), {"state": "failed"})
    tags.append(api.http.get(url).headers["etag"])
    assert len(set(tags)) == len(tags)


def test_retry_after_is_told_while_there_is_something_to_wait_for(api: Served, job: str) -> None:
    assert api.http.get(f"/v1/jobs/{job}").headers["retry-after"] == "1"
    api.finish(job, state="failed")
    assert "retry-after" not in api.http.get(f"/v1/jobs/{job}").headers


def test_a_list_is_walked_by_its_links(api: Served, model: str) -> None:
    made = [submit(api, model, name=str(n)).json()["id"] for n in range(5)]
    seen, url = [], "/v1/jobs?limit=2"
    while url:
        page = api.http.get(url).json()
        seen += [item["id"] for item in page["items"]]
        url = page["next"]
    assert seen == made[::-1]


def test_filters_narrow_and_survive_in_the_link(api: Served, model: str) -> None:
    for n in range(3):
        submit(api, model, tags={"team": "vision", "n": str(n)})
    submit(api, model, tags={"team": "audio"})
    page = api.http.get("/v1/jobs", params={"tag": "team:vision", "limit": 2}).json()
    more = api.http.get(page["next"]).json()
    assert [len(page["items"]), len(more["items"]), more["next"]] == [2, 1, None]
    both = api.http.get("/v1/jobs", params={"tag": ["team=vision", "n:1"]}).json()["items"]
    assert [job["tags"]["n"] for job in both] == ["1"]
    assert len(api.http.get("/v1/jobs", params={"model": model, "state": "queued"}).json()["items"]) == 4
    assert api.http.get("/v1/jobs", params={"state": "failed"}).json()["items"] == []
    assert api.http.get("/v1/jobs", params={"until": "2020-01-01T00:00:00Z"}).json()["items"] == []
    assert len(api.http.get("/v1/jobs", params={"since": "2020-01-01T00:00:00+02:00"}).json()["items"]) == 4


@pytest.mark.parametrize(
    "params",
    [
        {"cursor": "!"},
        {"cursor": "bnVsbA"},
        {"cursor": "W05hTiwgImEiXQ"},
        {"limit": 0},
        {"state": "x"},
        {"tag": "x"},
        {"since": "x"},
    ],
)
def test_a_list_asked_for_wrongly_names_the_parameter(api: Served, params: dict[str, Any]) -> None:
    answer = api.http.get("/v1/jobs", params=params)
    assert (answer.status_code, answer.json()["field"]) == (422, next(iter(params)))


def test_cancelling_a_waiting_job_ends_it(api: Served, job: str) -> None:
    for _ in range(2):
        answer = api.http.post(f"/v1/jobs/{job}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")


def test_cancelling_a_running_job_asks_its_worker(api: Served, job: str) -> None:
    attempt = api.claim(job).attempt
    assert api.http.post(f"/v1/jobs/{job}/cancel").json()["state"] == "cancelling"
    assert api.parts.records.cancel_requested(job, attempt)


def test_a_finished_job_cannot_be_cancelled_nor_retried(api: Served, job: str) -> None:
    succeed(api, job)
    assert api.http.post(f"/v1/jobs/{job}/cancel").json()["code"] == "job_finished"
    assert api.http.post(f"/v1/jobs/{job}/retry").json()["code"] == "job_not_retryable"


def test_a_failed_job_is_tried_again(api: Served, job: str) -> None:
    api.finish(job, state="failed")
    answer = api.http.post(f"/v1/jobs/{job}/retry")
    assert (answer.status_code, answer.json()["state"], answer.json()["max_attempts"]) == (202, "queued", 4)
    assert api.queue.published[-1].id == job


def test_a_job_whose_model_is_gone_cannot_be_tried_again(api: Served, job: str, model: str) -> None:
    api.finish(job, state="failed")
    assert api.http.delete(f"/v1/models/{model}").status_code == 204
    answer = api.http.post(f"/v1/jobs/{job}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_not_retryable")


def test_only_what_nobody_uses_is_deleted(api: Served, job: str, model: str) -> None:
    in_use = api.http.delete(f"/v1/models/{model}")
    assert (in_use.status_code, in_use.json()["code"]) == (409, "in_use")
    assert job in in_use.json()["detail"]
    assert api.http.delete(f"/v1/jobs/{job}").json()["code"] == "job_not_finished"
    api.http.post(f"/v1/jobs/{job}/cancel")
    assert api.http.delete(f"/v1/jobs/{job}").status_code == 204
    assert api.http.get(f"/v1/jobs/{job}").status_code == 404
    assert api.http.delete(f"/v1/models/{model}").status_code == 204
    assert api.http.get(f"/v1/models/{model}").status_code == 404


def test_artifact_and_report_are_there_once_it_has_succeeded(api: Served, job: str) -> None:
    for what in ("artifact", "report"):
        assert api.http.get(f"/v1/jobs/{job}/{what}").json()["code"] == "job_not_finished"
    sha256 = succeed(api, job)
    artifact = api.http.get(f"/v1/jobs/{job}/artifact", headers={"Accept-Encoding": "identity"})
    assert (artifact.content, artifact.headers["etag"]) == (b"small", f'"{sha256}"')
    assert artifact.headers["content-disposition"] == 'attachment; filename="net-winnow.onnx"'
    report = api.http.get(f"/v1/jobs/{job}/report")
    assert (report.json(), report.headers["content-type"]) == ({"report": 1}, "application/json")
    assert api.http.get(f"/v1/jobs/{job}").json()["artifact"] == {"sha256": sha256, "size_bytes": 5}


def test_a_failed_job_has_no_artifact(api: Served, job: str) -> None:
    api.finish(job, state="failed")
    answer = api.http.get(f"/v1/jobs/{job}/artifact")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_artifact")


def test_curves_are_a_zip(api: Served, model: str, dataset: str) -> None:
    job = train(api, model, dataset).json()["id"]
    url = f"/v1/jobs/{job}/curves"
    assert api.http.get(url).json()["code"] == "job_not_finished"
    assert api.http.get(f"/v1/jobs/{job}").json()["curves"] is None
    sha256 = stored(api, b"PK a zip")
    api.finish(job, state="failed", curves_sha256=sha256, curves_bytes=8)
    answer = api.http.get(url)
    assert (answer.content, answer.headers["etag"]) == (b"PK a zip", f'"{sha256}"')
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="net-winnow-curves.zip"'
    assert api.http.get(url, headers={"Range": "bytes=0-1"}).content == b"PK"
    assert api.http.get(url, headers={"If-None-Match": f'"{sha256}"'}).status_code == 304
    assert api.http.head(url).headers["content-length"] == "8"
    assert api.http.get(f"/v1/jobs/{job}").json()["curves"] == {"sha256": sha256, "size_bytes": 8}


def test_what_trains_nothing_has_no_curves_and_never_will(api: Served, job: str) -> None:
    for _ in range(2):
        answer = api.http.get(f"/v1/jobs/{job}/curves")
        assert (answer.status_code, answer.json()["code"]) == (409, "no_artifact")
        assert "trains" in answer.json()["detail"]
        if api.http.get(f"/v1/jobs/{job}").json()["state"] == "queued":
            succeed(api, job)


def test_a_training_that_left_no_curves_says_so(api: Served, model: str, dataset: str) -> None:
    job = train(api, model, dataset).json()["id"]
    api.finish(job, state="failed")
    answer = api.http.get(f"/v1/jobs/{job}/curves")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_artifact")


def test_a_failed_job_may_have_an_artifact_but_no_report(api: Served, model: str, dataset: str) -> None:
    """The best weights of a training that diverged."""
    job = train(api, model, dataset).json()["id"]
    problem = Refusal("training_diverged", "the loss is NaN").problem.model_dump()
    sha256 = stored(api, b"best")
    api.finish(job, state="failed", problem=problem, artifact_sha256=sha256, artifact_bytes=4)
    told = Job.model_validate(api.http.get(f"/v1/jobs/{job}").json())
    assert told.artifact is not None
    assert (told.state, told.artifact.size_bytes, told.outcome) == ("failed", 4, None)
    assert api.http.get(f"/v1/jobs/{job}/artifact").content == b"best"
    report = api.http.get(f"/v1/jobs/{job}/report")
    assert (report.status_code, report.json()["code"]) == (409, "no_artifact")
    assert "Its problem says why" in report.json()["detail"]
    api.http.post(f"/v1/jobs/{job}/retry")
    assert api.http.get(f"/v1/jobs/{job}").json()["artifact"] is None
    assert api.http.get(f"/v1/jobs/{job}/artifact").json()["code"] == "job_not_finished"


def test_what_the_step_said_last_is_shown(api: Served, job: str) -> None:
    attempt = api.claim(job).attempt
    url, said = f"/v1/jobs/{job}", "epoch 1 of 3, step 40 of 234: loss 0.412"
    step = {"index": 0, "kind": "float16", "progress": 0.5, "message": said}
    api.parts.records.report(job, attempt, step=step, progress=0.2, seconds_left=None)
    tag = api.http.get(url).headers["etag"]
    assert api.http.get(url).json()["step"] == step
    step["message"] = "epoch 2"
    api.parts.records.report(job, attempt, step=step, progress=0.2, seconds_left=None)
    answer = api.http.get(url, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.json()["step"]["message"]) == (200, "epoch 2")


def distil(**more: Any) -> dict[str, Any]:
    return {"steps": [{"kind": "distillation", **more}]}


def test_teachers_and_students_are_looked_up(api: Served, model: str, dataset: str, onnx: bytes) -> None:
    data = {"training": {"dataset": dataset}}
    for field in ("teacher", "student"):
        answer = submit(api, model, recipe=distil(**{field: "mdl_none"}), data=data)
        assert (answer.status_code, answer.json()["field"]) == (404, f"recipe.steps.0.{field}")
    waiting = api.http.post("/v1/models", content=onnx.replace(b"grap", b"wait")).json()["id"]
    answer = submit(api, model, recipe=distil(teacher=waiting), data=data)
    assert (answer.status_code, answer.json()["code"]) == (409, "model_not_ready")
    assert answer.json()["field"] == "recipe.steps.0.teacher"


def test_teachers_and_students_are_in_use(api: Served, model: str, other_model: str, dataset: str) -> None:
    data = {"training": {"dataset": dataset}}
    recipe = distil(teacher=other_model, student=other_model)
    job = submit(api, model, recipe=recipe, data=data).json()["id"]
    answer = api.http.delete(f"/v1/models/{other_model}")
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
    assert job in answer.json()["detail"]
    api.http.post(f"/v1/jobs/{job}/cancel")
    assert api.http.delete(f"/v1/models/{other_model}").status_code == 204
    again = api.http.post(f"/v1/jobs/{job}/retry")
    assert (again.status_code, again.json()["code"]) == (409, "job_not_retryable")
    assert other_model in again.json()["detail"]


@pytest.mark.parametrize("which", ["model", "teacher", "dataset"])
def test_what_is_deleted_while_the_job_is_checked_is_named_by_its_field(
    api: Served, model: str, other_model: str, dataset: str, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = {"model": model, "teacher": other_model, "dataset": dataset}
    fields = {"model": "model", "teacher": "recipe.steps.0.teacher", "dataset": "data.training.dataset"}

    def gone(*_: object) -> None:
        raise Gone(ids[which])

    monkeypatch.setattr(api.parts.records, "add_job", gone)
    answer = submit(api, model, recipe=distil(teacher=other_model), data={"training": {"dataset": dataset}})
    assert (answer.status_code, answer.json()["field"]) == (404, fields[which])


def test_a_dataset_that_is_augmented_is_not_taught_from_a_cache(api: Served, model: str, npz: bytes) -> None:
    declaration = '{"augment": ["horizontal_flip"]}'
    form = {"declaration": (None, declaration, "application/json"), "file": ("data.npz", npz)}
    dataset = api.http.post("/v1/datasets", files=form).json()["id"]
    api.inspected(dataset, dataset_facts().model_dump())
    data = {"training": {"dataset": dataset}}
    answer = submit(api, model, recipe=distil(cache_teacher=True), data=data)
    assert (answer.status_code, answer.json()["field"]) == (422, "recipe.steps.0.cache_teacher")
    assert submit(api, model, recipe=distil(cache_teacher=True, augment=False), data=data).status_code == 202


def test_a_weight_that_means_nothing_names_its_step(api: Served, model: str) -> None:
    answer = submit(api, model, recipe=distil(hard=1, head="regression"))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["field"].startswith("recipe.steps.0")
    assert "regression" in answer.json()["detail"]


def test_a_dataset_is_declared_again_until_a_job_has_used_it(api: Served, dataset: str, model: str) -> None:
    change = {"declaration": {"inputs": {"input": {"array": "x"}}}}
    answer = api.http.patch(f"/v1/datasets/{dataset}", json=change)
    assert (answer.status_code, answer.json()["state"]) == (200, "inspecting")
    assert api.queue.published[-1].id == dataset
    api.inspected(dataset, dataset_facts().model_dump())
    assert submit(api, model, data={"evaluation": {"dataset": dataset}}).status_code == 202
    refused = api.http.patch(f"/v1/datasets/{dataset}", json={"declaration": {}})
    assert (refused.status_code, refused.json()["code"]) == (409, "declaration_fixed")


def test_waiting_for_an_upload_is_cheap_too(api: Served, onnx: bytes) -> None:
    url = api.http.post("/v1/models", content=onnx).headers["location"]
    tag = api.http.get(url).headers["etag"]
    assert api.http.get(url, headers={"If-None-Match": tag}).status_code == 304
    api.inspected(url.rsplit("/", 1)[1], model_facts().model_dump())
    answer = api.http.get(url, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.json()["layers"][0]["op"]) == (200, "Conv")
