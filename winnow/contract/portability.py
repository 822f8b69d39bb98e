"""Where a result can be loaded, and what rules say of the target that a job is for."""

from typing import Literal

from pydantic import Field

from winnow.contract.base import ResponseModel
from winnow.contract.target_rules.findings import TargetCheck


class Portability(ResponseModel):
    """Whether a runtime that was not asked for can load the result.

    OpenVINO compiles the file, where it is installed; no claim is made of its outputs or its speed there. Of the others
    rules say what they take (`GET /v1/targets`, `winnow check`): nothing is run. `onnxruntime-no-contrib` is an ONNX
    Runtime without operators of its own.
    """

    runtime: Literal[
        "onnxruntime-no-contrib", "openvino-cpu", "tensorrt", "qnn", "coreml", "webgpu", "nnapi"
    ] = Field(description="The runtime.")
    loads: bool | None = Field(description="Whether it can load the file; null where that was not tried.")
    why: str | None = Field(
        description="Why not, why it was not tried, or which nodes another processor computes; null where all is taken."
    )
    operators: list[str] = Field(
        description="The operators that stand against it, as far as they are known, with their domain."
    )


class TargetReport(ResponseModel):
    """What rules say of the target that the job is for: nothing was run there."""

    target: str = Field(description="The target.")
    timed_on: str = Field(description="The runtime that timed and judged in its place.")
    before: TargetCheck = Field(description="Of the model as uploaded.")
    after: TargetCheck = Field(description="Of the result.")
