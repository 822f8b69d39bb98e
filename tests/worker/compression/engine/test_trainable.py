"""Which initializers training may change."""

import numpy as np
import onnx_ir as ir
import pytest

from tests.support import graphs
from worker.compression.engine.trainable import trainable
from worker.compression.graph.normal_form.normalise import normalise

GRID = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(16, 2)


@pytest.mark.parametrize(
    ("operator", "constant", "learned"),
    [
        ("Add", np.random.default_rng(0).standard_normal((16, 2)), True),  # of positions
        ("Add", np.zeros(2), True),  # a bias, never trained
        ("Mul", np.ones(2), True),
        ("Mul", np.random.default_rng(0).standard_normal((1, 1, 2)), True),  # of channels
        ("Mul", np.random.default_rng(0).standard_normal((16, 2)), False),  # rotary positions
        ("Add", GRID, False),
        ("Add", GRID + 0.5, False),
        ("Mul", np.full((16, 1), 8.0), False),  # strides
        ("Add", np.triu(np.full((16, 2), -np.inf), 1), False),  # a mask
        ("Add", np.triu(np.full((16, 2), -1e4), 1), False),
    ],
)
def test_numbers_that_somebody_counted_are_no_weights(
    operator: str, constant: np.ndarray, learned: bool
) -> None:
    constants = {"w": np.ones((3, 2), np.float32), "c": constant.astype(np.float32)}
    proto = graphs.parse(
        f"""(float[N,16,3] x) => (float[N,16,2] y) {{
            a = MatMul (x, w)
            y = {operator} (a, c)
        }}""",
        constants,
    )
    model = normalise(ir.from_proto(proto))
    assert trainable(model.graph.initializers["c"]) == learned
    assert trainable(model.graph.initializers["w"])
