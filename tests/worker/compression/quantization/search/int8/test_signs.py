"""Zero points of 0: uint8 where nothing is negative, int8 around 0 elsewhere, which OpenVINO computes faster."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.small_nets import digits_net, samples
from winnow.contract.recipe import Int8
from winnow.contract.target import Target
from worker.compression.apply import apply
from worker.compression.progress import Silent
from worker.compression.quantization.search.int8.candidates import AROUND_ZERO, SIGNED
from worker.compression.steps.context import Context, StepResult


def made(folder: Path, low: float, target: Target, candidate: str | None) -> StepResult:
    x = np.random.default_rng(0).uniform(low, 1, (48, 1, 8, 8)).astype(np.float32)
    data = samples(folder, digits_net(), image=x)
    step = Int8.model_validate({"kind": "int8", "candidate": candidate, "repair": False})
    return apply(digits_net(), step, Context(folder, 0, Silent(), data, target=target))


@pytest.mark.parametrize(("low", "of_input"), [(-1.0, np.int8), (0.0, np.uint8)])
def test_each_activation_has_the_sign_of_its_range(low: float, of_input: type, tmp_path: Path) -> None:
    model = made(tmp_path, low, "openvino-cpu", AROUND_ZERO).model
    zeros = {
        str(node.inputs[0].name): node.inputs[2].const_value.numpy()  # type: ignore[union-attr]
        for node in model.graph
        if node.op_type == "QuantizeLinear"
    }
    assert all(zero == 0 for zero in zeros.values())
    assert zeros.pop("image").dtype == of_input
    assert np.uint8 in {zero.dtype.type for zero in zeros.values()}, "behind a Relu nothing is negative"
    outputs = {node.outputs[0].dtype for node in model.graph if node.op_type == "QuantizeLinear"}
    assert outputs <= {ir.DataType.INT8, ir.DataType.UINT8}


def test_they_are_tried_where_openvino_runs_the_result(tmp_path: Path) -> None:
    rows = made(tmp_path, -1.0, "openvino-cpu", None).details["candidates"]  # type: ignore[arg-type]
    names = {row["name"] for row in rows}
    assert AROUND_ZERO in names
    assert SIGNED not in names
