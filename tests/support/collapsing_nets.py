"""Networks that 8 bits ruin although floats compute them well: each collapses for one reason of its own."""

from typing import Any

import numpy as np
import onnx_ir as ir

from tests.support.small_nets import model


def _normal(rng: np.random.Generator, *shape: int) -> Any:
    return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def masked_net(fill: float = -1e9) -> ir.Model:
    """Positions that `mask` [N,1,8,8] has as 0 are out of a pool over 4 × 4: `fill` is added there."""
    rng = np.random.default_rng(3)
    return model(
        """(float[N,3,8,8] image, float[N,1,8,8] mask) => (float[N,6,2,2] y) {
            [conv1] c1 = Conv <pads=[1, 1, 1, 1]> (image, w1)
            [inverse] i = Sub (one, mask)
            [penalty] m = Mul (i, fill)
            [masking] a = Add (c1, m)
            [pool] p = MaxPool <kernel_shape=[4, 4], strides=[4, 4]> (a)
            [conv2] y = Conv (p, w2)
        }""",
        {
            "w1": _normal(rng, 16, 3, 3, 3),
            "w2": _normal(rng, 6, 16, 1, 1),
            "one": np.array(1, np.float32),
            "fill": np.array(fill, np.float32),
        },
    )


def masked_by_infinity() -> ir.Model:
    """The same with −∞ by a `Where`, and a sum behind it."""
    rng = np.random.default_rng(3)
    return model(
        """(float[N,3,8,8] image, float[N,1,8,8] mask) => (float[N,6,2,2] y) {
            [conv1] c1 = Conv <pads=[1, 1, 1, 1]> (image, w1)
            [open] o = Greater (mask, half)
            [penalty] m = Where (o, zero, fill)
            [masking] a = Add (c1, m)
            [pool] p = MaxPool <kernel_shape=[4, 4], strides=[4, 4]> (a)
            [conv2] y = Conv (p, w2)
        }""",
        {
            "w1": _normal(rng, 16, 3, 3, 3),
            "w2": _normal(rng, 6, 16, 1, 1),
            "half": np.array(0.5, np.float32),
            "zero": np.array(0, np.float32),
            "fill": np.array(-np.inf, np.float32),
        },
    )


def masked_images(count: int = 64, *, masked: bool = True) -> dict[str, Any]:
    """No window of the pool is masked as a whole; without `masked` nothing is."""
    rng = np.random.default_rng(4)
    mask = (rng.uniform(size=(count, 1, 8, 8)) < 0.7).astype(np.float32)
    mask[:, :, ::4, ::4] = 1
    return {
        "image": rng.normal(size=(count, 3, 8, 8)).astype(np.float32),
        "mask": mask if masked else np.ones_like(mask),
    }
