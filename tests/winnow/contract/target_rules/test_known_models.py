"""Each target's data file against small models that are known to load, to fall back or to be refused there.

Where it is known is cited: a thread or a source file of that runtime says what becomes of the model.
"""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.support import qdq_nets as nets
from winnow.contract.target_rules.check import check_graph
from winnow.contract.target_rules.findings import TargetCheck
from winnow.contract.target_rules.load import rules_of
from winnow.contract.target_rules.onnx_file import graph_of_bytes

OPEN = ["batch", 4, 8, 8]
ACTIVATIONS = ("quantize", "dequantize", "quantize_out", "dequantize_out")


def checked(target: str, model: onnx.ModelProto, *fixed: str) -> TargetCheck:
    return check_graph(graph_of_bytes(model.SerializeToString()), rules_of(target), fixed)


def broken(check: TargetCheck) -> dict[str | None, str]:
    """Node → the rule that it breaks."""
    return {finding.node: finding.rule for finding in check.findings}


# --- TensorRT's own parser: one node that it does not take, and the file is refused


def test_tensorrt_takes_symmetric_int8_with_a_float_bias() -> None:
    """ONNX Runtime's example for TensorRT: ActivationSymmetric, biases not quantized (hardware.py)."""
    check = checked("tensorrt", nets.quantized_conv(np.int8, 0, bias=False))
    assert (check.runs, check.findings) == (True, [])


@pytest.mark.parametrize(
    ("model", "node", "rule"),
    [
        # NVIDIA/TensorRT#2774: "TRT only supports symmetric quantization - zeroPt must be all zeros"
        (nets.quantized_conv(np.int8, 3, bias=False), "quantize", "activations"),
        # notInvalidType(inputs.at(2), {"UINT8"}) in onnxOpImporters.cpp
        (nets.quantized_conv(np.uint8, 0, bias=False), "quantize", "activations"),
        # onnx/onnx-tensorrt#850, microsoft/onnxruntime#14229: an int32 bias behind DequantizeLinear
        (nets.quantized_conv(np.int8, 0), "bias", "bias"),
        # docs/operators.md: DynamicQuantizeLinear N, MatMulInteger N
        (nets.dynamically_quantized(), "product", "operators"),
        # docs/operators.md: INT8, INT4, FP8 and FP4 are the quantized types
        (nets.quantized_conv(np.int16, 0, bias=False, opset=21), "quantize", "sixteen_bit"),
        # docs/operators.md: QLinearMatMul N; other domains are no ONNX
        (nets.single("Gelu", domain="com.microsoft"), "it", "domains"),
        # docs/operators.md, MaxPool: dilations must be empty or all ones
        (nets.single("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]), "it", "operators"),
        # docs/operators.md, AveragePool: 2D or 3D only
        (nets.single("AveragePool", kernel_shape=[2]), "it", "operators"),
    ],
)  # fmt: skip
def test_tensorrt_refuses(model: onnx.ModelProto, node: str, rule: str) -> None:
    check = checked("tensorrt", model)
    assert not check.runs
    assert check.refused
    assert broken(check)[node] == rule


@pytest.mark.parametrize(("opset", "runs"), [(8, False), (9, True), (24, True), (25, False)])
def test_tensorrt_10_15_says_opsets_9_to_24(opset: int, runs: bool) -> None:
    check = checked("tensorrt", nets.single("Relu", opset=opset))
    assert check.runs == runs
    assert (broken(check) == {None: "opsets"}) == (not runs)


def test_tensorrt_takes_shapes_that_vary() -> None:
    assert checked("tensorrt", nets.float_conv(OPEN)).runs


# --- QNN: what it does not take falls back to the CPU; shapes have to be fixed


def test_qnn_takes_uint8_with_int8_weights_per_channel_of_a_convolution() -> None:
    """quant_config.py of ONNX Runtime 1.32.0: per channel Conv along axis 0, activations uint8 by default."""
    check = checked("qnn", nets.quantized_conv())
    assert (check.runs, check.findings) == (True, [])


def test_qnn_takes_activations_of_16_bits() -> None:
    """The documentation's own example quantizes activations to uint16."""
    assert not checked("qnn", nets.quantized_conv(np.uint16, 32768, opset=21)).findings


def test_qnn_takes_no_shape_that_varies_until_it_is_fixed() -> None:
    """microsoft/onnxruntime#22439: "QNN NPU doesn't support dynamic shape"; with fixed inputs the model loaded."""
    check = checked("qnn", nets.float_conv(OPEN))
    assert (check.runs, broken(check)) == (False, {None: "shapes"})
    assert "'x' leaves batch open" in check.summary
    assert checked("qnn", nets.float_conv(OPEN), "batch").runs
    assert checked("qnn", nets.float_conv(OPEN), "x").runs
    assert checked("qnn", nets.float_conv()).runs


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        # quant_config.py: "QNN does not support per-channel MatMul"
        (nets.quantized_matmul(np.uint8, 128, per_channel=True), {"weight": "per_channel"}),
        # the documentation: MatMul takes (uint8, uint8), (uint8, uint16), (uint16, uint8) on the HTP
        (nets.quantized_matmul(np.int8), {"weight": "weights"}),
        # quant_config.py: Conv along axis 0
        (nets.quantized_conv(axis=1), {"weight": "per_channel"}),
        # microsoft/onnxruntime#25334: DynamicQuantizeLinear has no translation
        (nets.dynamically_quantized(), {"quantize": "operators", "product": "operators"}),
        # "QNN operators typically support the uint8 and uint16 data types"
        (nets.quantized_conv(np.int8, 0, bias=False), dict.fromkeys(ACTIVATIONS, "activations")),
    ],
)  # fmt: skip
def test_on_qnn_these_nodes_fall_back(model: onnx.ModelProto, expected: dict[str, str]) -> None:
    check = checked("qnn", model)
    assert broken(check) == expected
    assert {finding.effect for finding in check.findings} == {"falls_back"}


def test_qnn_has_no_loops_and_branches() -> None:
    """The documentation: "Loops and Ifs are not supported"."""
    taken = rules_of("qnn").operators
    assert taken is not None
    assert taken.taken is not None
    assert not {"If", "Loop", "Scan"} & taken.taken.keys()


# --- NNAPI


def test_nnapi_takes_uint8_activations_with_int8_weights() -> None:
    """op_support_helpers.cc: u8s8, per channel along axis 0."""
    assert not checked("nnapi", nets.quantized_conv()).findings


@pytest.mark.parametrize(
    ("model", "node", "rule"),
    [
        # microsoft/onnxruntime#18571: A Input type [3] (int8) is not supported, uint8 would be
        (nets.quantized_conv(np.int8, 0), "quantize", "activations"),
        # op_support_helpers.cc: "QLinearMatMul does not support per-channel quantization"
        (nets.quantized_matmul(per_channel=True), "weight", "per_channel"),
        # the table: Conv: only 2D; weights should be constant
        (nets.float_conv(spatial=1), "conv", "operators"),
        (nets.float_conv(constant=False), "conv", "operators"),
        # the table has no Erf
        (nets.single("Erf"), "it", "operators"),
    ],
)
def test_on_nnapi_this_node_falls_back(model: onnx.ModelProto, node: str, rule: str) -> None:
    assert broken(checked("nnapi", model))[node] == rule


def test_nnapi_takes_int8_as_a_weight_alone() -> None:
    """op_support_helpers.cc: "We only support u8 for most of the inputs", int8 of what multiplies."""
    nodes = [
        helper.make_node("DequantizeLinear", ["c", "s", "z"], ["d"], name="constant"),
        helper.make_node("Add", ["x", "d"], ["y"], name="add"),
    ]
    for integers, fine in ((np.int8, False), (np.uint8, True)):
        constants = {"c": np.ones(8, integers), "s": np.float32(0.1), "z": integers(0)}
        assert (not checked("nnapi", nets.model(nodes, constants)).findings) == fine


def test_nnapi_takes_no_shape_that_varies() -> None:
    """microsoft/onnxruntime#11073: "Dynamic shape is not supported for now", of node after node."""
    assert not checked("nnapi", nets.float_conv(OPEN)).runs


# --- CoreML


def test_coreml_computes_nothing_that_is_quantized() -> None:
    """ekhodzitsky/gigastt#42: all DequantizeLinear, and all that multiplies, stayed on the CPU."""
    check = checked("coreml", nets.quantized_conv())
    assert check.by_operator["DequantizeLinear"] == 4
    assert broken(check)["conv"] == "operators"
    assert not check.runs


def test_coreml_takes_a_float_network_and_shapes_that_vary_at_a_price() -> None:
    """ORTCoreMLExecutionProviderOptions: by default it will also allow inputs with dynamic shapes."""
    assert not checked("coreml", nets.float_conv()).findings
    check = checked("coreml", nets.float_conv(OPEN))
    assert (check.runs, [finding.effect for finding in check.findings]) == (True, ["slower"])


def test_coreml_pools_in_two_dimensions_alone() -> None:
    """The table: "Only 2D Pool is supported currently"."""
    pool = helper.make_node("MaxPool", ["x"], ["y"], name="it", kernel_shape=[2, 2, 2])
    check = checked("coreml", nets.model([pool], inputs={"x": [1, 4, 8, 8, 8]}))
    assert "taken in 2D, this one is 3D" in check.findings[0].why


@pytest.mark.parametrize(
    ("setting", "taken"),
    [({}, True), ({"alpha": 1.0}, True), ({"alpha": 0.5}, False), ({"beta": 0.5}, False), ({"transA": 1}, False)],
)  # fmt: skip
def test_coreml_multiplies_as_it_is(setting: dict[str, Any], taken: bool) -> None:
    """gemm_op_builder.cc: "Only support for transA == 0, alpha == 1.0 and beta == 1.0"."""
    gemm = helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="it", **setting)
    constants = {"w": np.ones((4, 4), np.float32), "b": np.ones(4, np.float32)}
    check = checked("coreml", nets.model([gemm], constants, inputs={"x": [4, 4]}))
    assert (not check.findings) == taken
    assert all("gemm_op_builder.cc" in finding.source for finding in check.findings)


# --- WebGPU


def test_webgpu_has_a_kernel_for_dequantizing_and_none_for_quantizing() -> None:
    """The function table of webgpu_execution_provider.cc."""
    assert broken(checked("webgpu", nets.quantized_conv())) == {
        "quantize": "operators",
        "quantize_out": "operators",
    }


@pytest.mark.parametrize(("opset", "taken"), [(18, True), (19, False)])
def test_webgpu_averages_up_to_opset_18(opset: int, taken: bool) -> None:
    """microsoft/onnxruntime#29756: "AveragePool: Unsupported opset: v19"."""
    check = checked("webgpu", nets.single("AveragePool", kernel_shape=[2, 2], opset=opset))
    assert (not check.findings) == taken


def test_webgpu_has_kernels_of_com_microsoft() -> None:
    """webgpu_contrib_kernels.cc."""
    assert not checked("webgpu", nets.single("QuickGelu", domain="com.microsoft")).findings


# --- an ONNX Runtime without operators of its own


@pytest.mark.parametrize(("domain", "loads"), [("", True), ("ai.onnx.ml", True), ("com.microsoft", False)])
def test_without_contrib_operators_only_those_of_onnx_load(domain: str, loads: bool) -> None:
    node: Any = helper.make_node("Scaler" if domain == "ai.onnx.ml" else "Gelu", ["x"], ["y"], domain=domain)
    assert checked("onnxruntime-no-contrib", nets.model([node])).runs == loads


# --- OpenVINO's reader: a node without a conversion rule, and the file is refused


@pytest.mark.parametrize(
    ("operator", "domain", "runs"),
    [
        # asked of OpenVINO 2026.4.1: "No conversion rule found for operations: DeformConv-19"
        ("DeformConv", "", False),
        ("QGemm", "com.microsoft", False),
        ("Relu", "", True),
        # src/op/com.microsoft/fused_matmul.cpp: ONNX_OP("FusedMatMul", …, MICROSOFT_DOMAIN)
        ("FusedMatMul", "com.microsoft", True),
        ("Relu", "my.own", False),
    ],
)
def test_openvino_takes_what_it_has_a_rule_for(operator: str, domain: str, *, runs: bool) -> None:
    check = checked("openvino-cpu", nets.single(operator, domain=domain))
    assert (check.runs, check.refused) == (runs, not runs)
