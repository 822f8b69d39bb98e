"""What a job can be made for, and what a target of rules refuses at the door."""

from typing import Any

import pytest

from tests.support import qdq_nets as nets
from tests.support.facts import model_facts
from tests.support.records import a_worker
from tests.support.served import Served
from winnow.contract.target import CHECKED, JOB_TARGETS
from winnow.contract.target_rules.onnx_file import graph_of_bytes

ONNX = bytes([8, 10, 58, 4])
"""Of a file whose graph has four bytes."""


def uploaded(api: Served, graph: Any, name: str) -> str:
    """A model that inspection found to have this graph."""
    id = str(api.http.post(f"/v1/models?name={name}", content=ONNX + name[:4].ljust(4).encode()).json()["id"])
    read = None if graph is None else graph_of_bytes(graph.SerializeToString()).model_dump()
    api.inspected(id, model_facts(graph=read).model_dump())
    return id


def posted(api: Served, model: str, target: str, **more: Any) -> Any:
    body = {"model": model, "recipe": {"steps": [{"kind": "float16"}]}, "target": target}
    return api.http.post("/v1/jobs", params=more, json=body)


def test_targets_are_listed_with_what_they_take_and_whether_a_worker_measures_there(api: Served) -> None:
    api.parts.records.worker_seen(a_worker(queues=("work",), runtimes={"onnxruntime-cpu": "1"}), 0.0)
    items = {item["name"]: item for item in api.http.get("/v1/targets").json()["items"]}
    assert tuple(items) == JOB_TARGETS
    assert items["onnxruntime-cpu"]["measurable"]
    assert not items["openvino-cpu"]["measurable"]
    qnn = items["qnn"]
    assert (qnn["checked_by_rules"], qnn["timed_on"]) == (True, "onnxruntime-cpu")
    assert (qnn["measurable"], qnn["available"]) == (False, True)
    assert qnn["rules"]["activations"]["types"] == ["uint8", "uint16"]
    assert qnn["rules"]["activations"]["source"].startswith("https://")
    assert qnn["rules"]["unknown"]


@pytest.mark.parametrize("target", CHECKED)
def test_a_job_for_a_target_of_rules_is_taken_by_a_worker_that_has_the_default_runtime(
    api: Served, target: str
) -> None:
    api.parts.records.worker_seen(a_worker(queues=("work",), runtimes={"onnxruntime-cpu": "1"}), 0.0)
    answer = posted(api, uploaded(api, nets.float_conv(), target), target)
    assert (answer.status_code, answer.json()["target"]) == (202, target), answer.text


def test_a_model_that_the_target_cannot_run_is_refused_with_the_nodes_and_the_source(api: Served) -> None:
    answer = posted(api, uploaded(api, nets.quantized_conv(), "a"), "tensorrt")
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, "target_cannot_run", "target")
    assert problem["layer"] == "quantize"
    assert "UINT8 is refused" in problem["detail"]
    assert "onnxOpImporters.cpp" in problem["detail"]


def test_shapes_that_vary_are_refused_where_they_have_to_be_fixed(api: Served) -> None:
    model = uploaded(api, nets.float_conv(["batch", 4, 8, 8]), "b")
    problem = posted(api, model, "qnn").json()
    assert problem["code"] == "target_cannot_run"
    assert "'x' leaves batch open" in problem["detail"]
    assert "make_dynamic_shape_fixed" in problem["detail"]
    assert posted(api, model, "coreml").status_code == 202


def test_a_dry_run_tells_the_same(api: Served) -> None:
    model = uploaded(api, nets.quantized_conv(), "c")
    told = posted(api, model, "tensorrt", dry_run="true").json()
    assert (told["fits"], [problem["code"] for problem in told["problems"]]) == (False, ["target_cannot_run"])


def test_a_model_whose_graph_was_not_kept_is_judged_by_the_worker(api: Served) -> None:
    assert posted(api, uploaded(api, None, "d"), "tensorrt").status_code == 202


def test_a_target_that_nobody_knows_is_refused_with_those_that_there_are(api: Served) -> None:
    answer = posted(api, uploaded(api, None, "e"), "npu")
    assert (answer.status_code, answer.json()["field"]) == (422, "target")
    assert all(name in answer.json()["detail"] for name in JOB_TARGETS)
