"""Whether ONNX Runtime computes a `MatMulNBits` in integers on this CPU: tried, since it falls back without a word.

Its activations then are 8-bit integers, one scale for each block: the product is 10⁻³ to 10⁻² of its size from that of
floats, which in floats is 10⁻⁶.
"""

from functools import cache
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.runtime.session import open_cpu_session

ROWS, OUTPUTS, BLOCKS = 2, 16, 4
ROUNDED: Final = 1e-4
"""Relative error beyond which activations were rounded."""


@cache
def computes_in_integers(bits: int, block: int, accuracy_level: int, zero_points: bool) -> bool:
    """Multiply random numbers both ways. Raises what ONNX Runtime raises for a form that it does not have."""
    rng = np.random.default_rng(0)
    inner, step = BLOCKS * block, 8 // bits
    codes = rng.integers(0, 2**bits, (OUTPUTS, BLOCKS, block // step, step), np.uint8)
    packed = (codes << (np.arange(step, dtype=np.uint8) * bits)).sum(-1).astype(np.uint8)
    middle = 2 ** (bits - 1)
    weight = (codes.reshape(OUTPUTS, inner).astype(np.float32) - middle) / middle
    x = rng.standard_normal((ROWS, inner), np.float32)
    product = _product(x, packed, np.full((OUTPUTS, BLOCKS), 1 / middle, np.float32), _attributes(
        bits, block, accuracy_level, inner
    ), _zeros(bits, middle) if zero_points else None)  # fmt: skip
    exact = x @ weight.T
    return bool(np.linalg.norm(product - exact) > ROUNDED * np.linalg.norm(exact))


def _attributes(bits: int, block: int, accuracy_level: int, inner: int) -> dict[str, int]:
    return {"K": inner, "N": OUTPUTS, "bits": bits, "block_size": block, "accuracy_level": accuracy_level}


def _zeros(bits: int, middle: int) -> np.ndarray:
    """The middle for each block, packed as the codes are; uint8 [OUTPUTS, BLOCKS · bits / 8]."""
    byte = sum(middle << place for place in range(0, 8, bits))
    return np.full((OUTPUTS, BLOCKS * bits // 8), byte, np.uint8)


def _product(
    x: np.ndarray,
    packed: np.ndarray,
    scales: np.ndarray,
    attributes: dict[str, int],
    zeros: np.ndarray | None,
) -> np.ndarray:
    data = ir.val("x", ir.DataType.FLOAT, x.shape)
    arrays = {"codes": packed, "scales": scales} | ({} if zeros is None else {"zeros": zeros})
    constants = [
        ir.Value(name=name, const_value=ir.tensor(array, name=name)) for name, array in arrays.items()
    ]
    node = ir.node("MatMulNBits", [data, *constants], attributes, domain="com.microsoft")
    node.outputs[0].name, node.outputs[0].type = "y", ir.TensorType(ir.DataType.FLOAT)
    opsets = {"": 17, "com.microsoft": 1}
    graph = ir.Graph(
        [data], [node.outputs[0]], nodes=[node], initializers=constants, opset_imports=opsets, name="product"
    )
    session = open_cpu_session(ir.to_proto(ir.Model(graph, ir_version=8)).SerializeToString())
    result: np.ndarray = session.run(None, {"x": x})[0]
    return result
