"""A network that 8 bits with one scale for all channels ruin, although it computes nothing unusual."""

from typing import Any

import numpy as np
import onnx_ir as ir

from tests.support.small_nets import model


def uneven_net(activation: str = "Relu") -> ir.Model:
    """conv1's channels lie between 0.01 and 100, and conv2 undoes it; conv3 and head are harmless."""
    rng = np.random.default_rng(5)
    gains = np.geomspace(0.01, 100, 16)
    weights: dict[str, Any] = {
        "w1": rng.normal(size=(16, 3, 3, 3)) / 5 * gains[:, None, None, None],
        "b1": rng.normal(size=16) / 5 * gains,
        "w2": rng.normal(size=(16, 16, 3, 3)) / 12 / gains[None, :, None, None],
        "b2": rng.normal(size=16) / 5,
        "w3": rng.normal(size=(16, 16, 3, 3)) / 12,
        "w4": rng.normal(size=(16, 6)) / 4,
        "b4": rng.normal(size=6) / 4,
    }
    weights = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    return model(
        f"""(float[N,3,8,8] image) => (float[N,6] y) {{
            [conv1] c1 = Conv <pads=[1, 1, 1, 1]> (image, w1, b1)
            [first] r1 = {activation} (c1)
            [conv2] c2 = Conv <pads=[1, 1, 1, 1]> (r1, w2, b2)
            [second] r2 = Relu (c2)
            [conv3] c3 = Conv <pads=[1, 1, 1, 1]> (r2, w3)
            [pool] p = GlobalAveragePool (c3)
            [flatten] f = Flatten (p)
            [head] y = Gemm (f, w4, b4)
        }}""",
        weights,
    )


def images(count: int = 64) -> Any:
    return np.random.default_rng(6).normal(size=(count, 3, 8, 8)).astype(np.float32)
