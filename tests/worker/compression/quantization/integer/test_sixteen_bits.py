"""16 bits where 8 collapse and the target's rules take them: what the graph says, ONNX Runtime computes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.collapsing_nets import data_for, probed_net
from tests.support.small_nets import run, samples, snr_db
from winnow.contract.recipe import Int8Static
from winnow.contract.target import CheckedTarget
from winnow.contract.target_rules.check import check_graph
from winnow.contract.target_rules.load import rules_of
from worker.compression.apply import apply
from worker.compression.graph.facts.checked import checked_graph
from worker.compression.progress import Silent
from worker.compression.quantization.integer.hardware import ruled_target
from worker.compression.steps.context import Context, StepResult

QUANTIZATION = {"activations", "weights", "bias", "per_channel", "sixteen_bit"}


def quantize(
    make: Callable[[], ir.Model], folder: Path, checked: CheckedTarget | None, *, repair: bool = True
) -> StepResult:
    data = samples(folder, make(), **data_for(make()))
    step = Int8Static(kind="int8_static", repair=repair, samples=512)
    return apply(make(), step, Context(folder, 0, Silent(), data, checked=checked))


def widths(net: ir.Model) -> dict[str, str]:
    """Of the quantized values, by the name of what is quantized."""
    return {
        str(node.inputs[0].name): str(node.inputs[2].const_value.dtype.name)  # type: ignore[union-attr]
        for node in net.graph
        if node.op_type == "QuantizeLinear"
    }


@pytest.mark.parametrize("make", [probed_net])
def test_qnn_has_16_bits_where_8_collapse(make: Callable[[], ir.Model], tmp_path: Path) -> None:
    x = data_for(make())
    before, after = (quantize(make, tmp_path, "qnn", repair=repair) for repair in (False, True))
    assert snr_db(run(make(), x), run(before.model, x)) < 15
    assert snr_db(run(make(), x), run(after.model, x)) > 25
    assert {"UINT8", "UINT16"} == set(widths(after.model).values())
    assert after.model.opset_imports[""] >= 21
    assert after.changed == before.changed
    assert any("in 16 bits (opset 21): +" in note for note in after.notes)
    check = check_graph(checked_graph(after.model), rules_of("qnn"))
    assert not {finding.rule for finding in check.findings} & QUANTIZATION


@pytest.mark.parametrize("target", [None, "tensorrt", "nnapi", "coreml", "webgpu"])
def test_no_other_target_gets_any(target: CheckedTarget | None, tmp_path: Path) -> None:
    assert "UINT16" not in widths(quantize(probed_net, tmp_path, target).model).values()


@pytest.mark.parametrize("target", ["qnn", "tensorrt", "nnapi", "coreml", "webgpu"])
def test_only_what_the_rules_take(target: CheckedTarget) -> None:
    assert ruled_target(rules_of(target)).sixteen_bits == (target == "qnn")


@pytest.mark.parametrize("make", [probed_net])
def test_every_node_reads_and_gives_one_width(make: Callable[[], ir.Model], tmp_path: Path) -> None:
    """Between 8 and 16 bits there is a pair that converts, as QNN wants it."""
    net = quantize(make, tmp_path, "qnn").model
    for node in net.graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") or node.op_type not in (
            "Conv",
            "MatMul",
            "Add",
            "Concat",
        ):
            continue
        read = {
            str(producer.inputs[2].const_value.dtype.name)  # type: ignore[union-attr]
            for value in node.inputs
            if value is not None
            and (producer := value.producer()) is not None
            and producer.op_type == "DequantizeLinear"
            and producer.inputs[0].producer() is not None  # type: ignore[union-attr]
        }
        given = {
            str(use.node.inputs[2].const_value.dtype.name)  # type: ignore[union-attr]
            for use in node.outputs[0].uses()
            if use.node.op_type == "QuantizeLinear"
        }
        assert len(read | given) <= 1, node.name


def test_16_bits_have_the_range_of_8(tmp_path: Path) -> None:
    net = quantize(probed_net, tmp_path, "qnn").model
    quantizers = [node for node in net.graph if node.op_type == "QuantizeLinear"]
    for node in quantizers:
        scale, point = (value.const_value.numpy() for value in node.inputs[1:])  # type: ignore[union-attr]
        if point.dtype == np.uint16:
            assert point % 257 == 0
            assert scale > 0
