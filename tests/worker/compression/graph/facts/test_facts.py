"""What inspection tells of a model, in the contract's words."""

import onnx_ir as ir
import pytest

from tests.support import graphs
from tests.support.residual_nets import residual_net
from winnow.contract.model import TensorSpec
from worker.compression.graph.facts import facts as facts_module
from worker.compression.graph.facts.facts import facts, is_quantized, operators
from worker.compression.graph.normal_form.normalise import normalise


def test_facts_of_a_cnn() -> None:
    found = facts(normalise(ir.from_proto(graphs.cnn())))
    assert found.opset == 18
    assert found.inputs == [TensorSpec(name="image", dtype="float32", shape=["N", 3, 8, 8])]
    assert found.outputs == [TensorSpec(name="logits", dtype="float32", shape=["N", 10])]
    assert (found.parameters, found.macs, found.quantized) == (898, 50768, False)
    assert found.operators == {
        "Conv": 2,
        "Relu": 2,
        "Add": 1,
        "GlobalAveragePool": 1,
        "Flatten": 1,
        "Gemm": 1,
    }
    assert [(layer.name, layer.weight) for layer in found.layers] == [
        ("conv1", [8, 3, 3, 3]),
        ("conv2", [8, 8, 3, 3]),
        ("fc", [10, 8]),
    ]


@pytest.mark.parametrize("build", [graphs.with_constant_nodes, graphs.with_initializers_as_inputs])
def test_the_same_network_stored_otherwise_has_the_same_facts(build) -> None:  # type: ignore[no-untyped-def]
    expected, found = (facts(normalise(ir.from_proto(b()))) for b in (graphs.cnn, build))
    but_for_opset = {"opset": True, "graph": {"opset"}}
    assert found.model_dump(exclude=but_for_opset) == expected.model_dump(exclude=but_for_opset)


def test_nodes_of_subgraphs_count_and_other_domains_are_named() -> None:
    model = graphs.branches()
    model.graph.node.append(graphs.node("Gelu", "y", "g", domain="com.microsoft"))
    assert operators(normalise(ir.from_proto(graphs.branches()))) == {"MatMul": 2, "If": 1}
    assert operators(ir.from_proto(model))["com.microsoft.Gelu"] == 1


@pytest.mark.parametrize(
    ("operator", "domain"),
    [
        ("QuantizeLinear", ""),
        ("DequantizeLinear", ""),
        ("DynamicQuantizeLinear", ""),
        ("QLinearConv", ""),
        ("QLinearMatMul", ""),
        ("ConvInteger", ""),
        ("MatMulInteger", ""),
        ("QLinearAdd", "com.microsoft"),
        ("QGemm", "com.microsoft"),
        ("MatMulNBits", "com.microsoft"),
        ("DynamicQuantizeMatMul", "com.microsoft"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_quantized_models_are_recognised(operator: str, domain: str, nested: bool) -> None:
    model = graphs.branches()
    graph = model.graph.node[0].attribute[0].g if nested else model.graph
    graph.node.append(graphs.node(operator, "x", "q", domain=domain))
    assert is_quantized(ir.from_proto(model))
    assert not is_quantized(ir.from_proto(graphs.branches()))


def test_more_layers_of_blocks_than_are_kept_are_no_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of blocks around each other each has the layers of all within."""
    monkeypatch.setattr(facts_module, "MAX_BLOCK_LAYERS", 7)
    assert facts(residual_net("plain", [1, 1, 1])).blocks
    assert facts(residual_net("plain", [1, 1, 1, 1])).blocks is None
