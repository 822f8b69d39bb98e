"""Streams that ONNX Runtime has fused with their normalisations are streams again, and compute the same."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support import graphs
from tests.support.ort import run
from worker.compression.graph.blocks.find import residual_blocks
from worker.compression.graph.normal_form.normalise import normalise

WIDTH = 8
X = np.random.default_rng(1).normal(size=(3, 5, WIDTH)).astype(np.float32)


def fused(first: str, *, outputs: str = "t", opset: int = 17) -> onnx.ModelProto:
    """A layer around which its input is added, as ONNX Runtime writes it; x float32 [N, 5, WIDTH]."""
    rng = np.random.default_rng(0)
    names = {"stem": (WIDTH, WIDTH), "w": (WIDTH, WIDTH), "v": (WIDTH, WIDTH)}
    names |= dict.fromkeys(("gamma", "beta", "bias"), (WIDTH,))
    return graphs.parse(
        f"""(float[N,5,{WIDTH}] x) => (float[N,5,{WIDTH}] y) {{
            s = MatMul (x, stem)
            a = Relu (s)
            h = MatMul (a, w)
            [skip] {outputs} = com.microsoft.SkipLayerNormalization ({first}, gamma, beta, bias)
            [head] y = MatMul (t, v)
        }}""",
        {name: rng.normal(size=shape).astype(np.float32) for name, shape in names.items()},
        opset=opset,
        ir_version=8,
        domains={"com.microsoft": 1},
    )


@pytest.mark.parametrize("first", ["a, h", "h, a"])
def test_a_block_is_seen_whichever_operand_the_bias_was_taken_from(first: str) -> None:
    made = fused(first)
    net = normalise(ir.from_proto(made))
    assert [node.op_type for node in net.graph] == [
        *("MatMul", "Relu", "MatMul", "Add", "Add", "LayerNormalization", "MatMul")
    ]
    assert [block.entry for block in residual_blocks(net).blocks] == ["a"]
    assert np.allclose(run(ir.to_proto(net), {"x": X}), run(made, {"x": X}), rtol=1e-5, atol=1e-5)


def test_the_sum_that_is_read_too_is_that_of_the_add() -> None:
    made = fused("a, h", outputs="n, mean, deviation, t")
    net = normalise(ir.from_proto(made))
    assert "SkipLayerNormalization" not in {node.op_type for node in net.graph}
    assert np.allclose(run(ir.to_proto(net), {"x": X}), run(made, {"x": X}), rtol=1e-5, atol=1e-5)


def test_before_opset_17_it_stays() -> None:
    net = normalise(ir.from_proto(fused("a, h", opset=15)))
    assert "SkipLayerNormalization" in {node.op_type for node in net.graph}
