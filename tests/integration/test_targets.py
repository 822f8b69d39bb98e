"""A job for a target that no worker has, through the whole service: refused with nodes, or done and told."""

from pathlib import Path

import onnx
import pytest

from tests.support import qdq_nets as nets
from tests.support.service import Service
from winnow.client import Client, ServiceProblem

pytestmark = pytest.mark.integration


def uploaded(client: Client, model: onnx.ModelProto, path: Path) -> str:
    path.write_bytes(model.SerializeToString())
    return client.upload_model(path).id


def test_a_job_for_a_target_of_rules_is_timed_here_and_told_before_and_after(
    winnow: Service, tmp_path: Path
) -> None:
    with Client(winnow.url) as client:
        model = uploaded(client, nets.float_conv(), tmp_path / "float.onnx")
        job = client.submit(
            model=model,
            recipe={"steps": [{"kind": "float16"}]},
            target="qnn",
            benchmark={"rounds": 9},
        )
        assert client.wait(job.id, timeout=120).target == "qnn"
        report = client.report(job.id)
    assert report.latency[0].provider == "CPUExecutionProvider"
    assert report.target is not None
    assert (report.target.target, report.target.before.runs, report.target.after.runs) == ("qnn", True, True)
    assert any("timed on onnxruntime-cpu" in note for note in report.notes)


def test_inspection_keeps_the_graph_by_which_a_job_is_refused_at_the_door(
    winnow: Service, tmp_path: Path
) -> None:
    with Client(winnow.url) as client:
        model = uploaded(client, nets.quantized_conv(), tmp_path / "quantized.onnx")
        with pytest.raises(ServiceProblem) as refused:
            client.submit(model=model, recipe={"steps": [{"kind": "float16"}]}, target="tensorrt")
    problem = refused.value.problem
    assert (problem.code, problem.field, problem.layer) == ("target_cannot_run", "target", "quantize")
