"""The trace of a Hessian is that of the matrix itself, where it can be written down."""

from pathlib import Path

import numpy as np

from tests.support.small_nets import model, samples
from worker.compression.layers.linear import linears
from worker.compression.quantization.search.mixed_precision.hessian_trace import hessian_traces


def test_of_a_product_it_is_the_sum_of_squared_inputs(tmp_path: Path) -> None:
    """y = x W: Tr(JᵀJ) = outputs · Σ x², exactly for signs of one sample's outputs; to 15 % of the random signs."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 6)).astype(np.float32)
    weights = {n: rng.normal(size=s).astype(np.float32) for n, s in (("w1", (6, 5)), ("w2", (5, 4)))}
    net = model(
        """(float[N,6] x) => (float[N,4] y) {
            [first] h = MatMul (x, w1)
            [second] y = MatMul (h, w2)
        }""",
        weights,
    )
    found = hessian_traces(net, list(linears(net)), samples(tmp_path, net, x=x), 0, lambda _: None)
    batch = 4
    hidden = x @ weights["w1"]
    second = batch * (hidden**2).sum(1).mean() * 4 / 20
    first = batch * (x**2).sum(1).mean() * (weights["w2"] ** 2).sum() / 30
    np.testing.assert_allclose([found["first"], found["second"]], [first, second], rtol=0.15)
