"""A bias that training made larger keeps its room in int32: the weight's scale grows with it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.small_nets import model, run, samples
from tests.worker.compression.quantization.test_int8_static import quantize
from worker.compression.engine.working import as_module, write_back


@pytest.mark.parametrize("target", ["cpu_vnni", "cuda"])
def test_a_bias_that_grew_a_millionfold_comes_out_whole(target: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {
        "w": (rng.normal(size=(4, 8)) * 1e-3).astype(np.float32),
        "b": (rng.normal(size=4) * 1e-3).astype(np.float32),
        "v": np.eye(4, dtype=np.float32),
    }
    net = model(
        """(float[N,8] x) => (float[N,4] y) {
            [one] a = Gemm <transB=1> (x, w, b)
            [two] y = Gemm <transB=1> (a, v)
        }""",
        weights,
    )
    x = rng.normal(size=(20, 8)).astype(np.float32)
    made = quantize(net, tmp_path, samples(tmp_path, net, x=x), target=target, bias_correction=False).model
    module = as_module(made)
    bias = dict((*module.named_parameters(), *module.named_buffers()))
    (name,) = (
        name
        for name, value in bias.items()
        if name.startswith("b") and value.shape == (4,) and "scale" not in name
    )
    with torch.no_grad():
        bias[name].copy_(torch.tensor([1e3, -2e3, 500.0, 1e4]))
    write_back(module, made)
    (node_,) = (n for n in made.graph if n.name == "one")
    first = run(made, {"x": x}, node_.outputs[0].name)
    np.testing.assert_allclose(first, np.tile([1e3, -2e3, 500.0, 1e4], (20, 1)), rtol=0.02)
