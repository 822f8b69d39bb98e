"""`POST /v1/jobs?dry_run=true`: whether a job would be taken and what it would come to, without making one."""

from dataclasses import replace
from typing import Any

import pytest

from app.storage.records import Duration
from tests.support.facts import model_facts
from tests.support.served import Served
from winnow.contract.dry_run import DryRun
from winnow.contract.model import ModelFacts
from winnow.contract.stored_weights import Stored, StoredWeights

PAST = Duration(
    job="job_1",
    kind="float16",
    operators="Conv,Gemm",
    seconds=2.0,
    macs=100_000,
    parameters=1000,
    samples=0,
    epochs=1.0,
    memory_bytes=2**28,
    cpu="a CPU",
    finished_at=1.0,
)


def asked(api: Served, model: str, *steps: dict[str, Any], **fields: Any) -> Any:
    body = {"model": model, "recipe": {"steps": list(steps)}, **fields}
    return api.http.post("/v1/jobs", params={"dry_run": "true"}, json=body)


def answered(api: Served, model: str, *steps: dict[str, Any], **fields: Any) -> DryRun:
    response = asked(api, model, *steps, **fields)
    assert response.status_code == 200, response.text
    return DryRun.model_validate_json(response.text)


@pytest.fixture
def weighed(api: Served, onnx: bytes) -> str:
    """The id of a model of which it is known what its file consists of: a convolution and a product."""
    id = str(api.http.post("/v1/models", params={"name": "net.onnx"}, content=onnx).json()["id"])
    api.inspected(id, with_stored(model_facts()).model_dump())
    return id


def with_stored(facts: ModelFacts) -> ModelFacts:
    shapes = [[64, 32, 3, 3], [10, 64]]
    weights = [
        StoredWeights(
            count=1, shape=shape, dtype="float32", learnt=True, readers=[place], outputs_axis=0, groups=1,
            nested=False, channels=[[] for _ in shape],
        )
        for place, shape in enumerate(shapes)
    ]  # fmt: skip
    stored = Stored(file_bytes=4 * (64 * 288 + 640) + 1000, weights=weights, products=[])
    return facts.model_copy(update={"stored": stored, "channel_groups": []})


def test_nothing_is_created(api: Served, model: str) -> None:
    assert answered(api, model, {"kind": "float16"}).fits
    assert api.http.get("/v1/jobs").json()["items"] == []
    assert api.queue.published[-1].id == model


def test_sizes_are_computed_where_settings_tell_them_and_measured_only_where_a_step_chooses(
    api: Served, weighed: str
) -> None:
    """float16 halves the 76 kB of weights: ±10 %. What follows a step that chooses is not told either."""
    forecast = answered(api, weighed, {"kind": "float16"}).forecast
    assert forecast is not None
    assert forecast.steps[0].basis == "computed"
    assert forecast.steps[0].size_bytes == pytest.approx(2 * (64 * 288 + 640) + 1000, rel=0.1)
    chosen = answered(api, weighed, {"kind": "int8"}).forecast
    assert chosen is not None
    assert (chosen.steps[0].basis, chosen.steps[0].size_bytes) == ("measured only", None)
    assert chosen.steps[0].macs == 100_000


def test_of_a_model_that_an_earlier_version_inspected_no_size_is_told(api: Served, model: str) -> None:
    forecast = answered(api, model, {"kind": "float16"}).forecast
    assert forecast is not None
    assert forecast.steps[0].size_bytes is None


def test_time_and_memory_need_history(api: Served, model: str) -> None:
    forecast = answered(api, model, {"kind": "float16"}).forecast
    assert forecast is not None
    assert (forecast.seconds, forecast.memory_bytes) == (None, None)
    assert "no job has finished yet that did float16, measure" in forecast.basis


def test_time_and_memory_are_those_of_jobs_like_it(api: Served, model: str) -> None:
    api.parts.records.add_durations([PAST, replace(PAST, kind="measure", seconds=10.0)])
    forecast = answered(api, model, {"kind": "float16"}).forecast
    assert forecast is not None
    assert forecast.seconds is not None
    assert forecast.memory_bytes is not None
    assert forecast.seconds[0] <= 12.0 <= forecast.seconds[1]
    assert forecast.memory_bytes[0] <= 2**28 <= forecast.memory_bytes[1]
    assert "1 finished job" in forecast.basis
    assert "a CPU" in forecast.basis


def test_jobs_on_other_kinds_of_layer_tell_nothing(api: Served, model: str) -> None:
    api.parts.records.add_durations([replace(PAST, kind=k, operators="LSTM") for k in ("float16", "measure")])
    forecast = answered(api, model, {"kind": "float16"}).forecast
    assert forecast is not None
    assert forecast.seconds is None


def test_all_that_would_be_refused_is_a_problem_of_its_own(api: Served, model: str) -> None:
    steps = {"kind": "int8_static"}, {"kind": "float16", "exclude": ["nothing"]}
    run = answered(api, model, *steps, limits={"seconds": 604800})
    codes = {problem.code for problem in run.problems}
    assert not run.fits
    assert run.forecast is None
    assert codes >= {"missing_data", "pattern_matches_nothing"}
    assert {problem.field for problem in run.problems} >= {"data.calibration", "recipe.steps.1.exclude.0"}


def test_a_model_that_is_not_there_is_a_problem(api: Served) -> None:
    run = answered(api, "mdl_none", {"kind": "float16"})
    assert [problem.code for problem in run.problems] == ["not_found"]


def test_what_does_not_fit_the_schema_stays_422(api: Served, model: str) -> None:
    assert asked(api, model, {"kind": "nothing"}).status_code == 422
    assert asked(api, model).status_code == 422


def test_dry_run_is_true_or_false(api: Served, model: str) -> None:
    body = {"model": model, "recipe": {"steps": [{"kind": "float16"}]}}
    answer = api.http.post("/v1/jobs", params={"dry_run": "maybe"}, json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, "dry_run")
    assert api.http.post("/v1/jobs", params={"dry_run": "false"}, json=body).status_code == 202
