"""A target, the precision that it computes in and the features of its CPU: what goes together."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from winnow.contract.job import ClosedJob
from winnow.contract.target import JOB_TARGETS, CpuFeature, Target, measured_on


def job(**settings: Any) -> ClosedJob:
    return ClosedJob.model_validate({"model": "m", "recipe": {"steps": [{"kind": "int8"}]}} | settings)


def test_by_itself_a_job_is_for_floats_as_the_file_has_them_and_the_cpu_of_the_worker() -> None:
    assert (job().precision, job().target_features) == ("f32", None)


def test_each_target_with_its_precision_is_a_runtime_of_its_own() -> None:
    assert measured_on("openvino-cpu", "bf16") == "openvino-cpu-bf16"
    assert {measured_on(target) for target in JOB_TARGETS} == {*get_args(Target)} - {"openvino-cpu-bf16"}


def test_features_of_one_kind_of_cpu_go_together() -> None:
    assert job(target_features=["avx2", "avx512_vnni"]).target_features == ["avx2", "avx512_vnni"]
    assert job(target="openvino-cpu", precision="bf16", target_features=["amx_bf16"]).precision == "bf16"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"precision": "bf16"}, "onnxruntime-cpu computes what the file says"),
        ({"precision": "bf16", "target": "tensorrt"}, "tensorrt computes what the file says"),
        ({"precision": "int8"}, "'f32' or 'bf16'"),
        ({"target_features": ["vnni"]}, "'avx512_vnni'"),
        ({"target_features": ["avx2"], "target": "qnn"}, "qnn is none: leave them out"),
        ({"target_features": ["avx2", "i8mm"]}, "no CPU has features of x86 and of Arm: avx2, i8mm"),
        (
            {"target_features": ["avx2"], "target": "openvino-cpu", "precision": "bf16"},
            "precision bf16 needs one of amx_bf16, avx512_bf16, bf16",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_with_what_to_do(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        job(**settings)
    assert says in str(refused.value)


def test_every_feature_is_called_as_proc_cpuinfo_calls_it() -> None:
    assert {name for name in get_args(CpuFeature) if not name.replace("_", "").isalnum()} == set()
    assert len(get_args(CpuFeature)) == 12
