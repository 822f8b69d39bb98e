"""What training changes: statistics of batch normalisation, dropout, and types under autocast."""

from typing import Any

import numpy as np
import pytest
import torch

from tests.worker.compression.engine.operators.nodes import Array, graph_module, node_model, rand
from tests.worker.compression.engine.operators.test_gradients import CASES, constants
from winnow.contract.errors import Refusal


def test_batch_normalisation_trains_as_torchs_own_does() -> None:
    x = rand(8, 4, 5, 5)
    weights = {name: np.abs(rand(4, seed=i)) for i, name in enumerate(("w", "b", "mean", "variance"))}
    module = graph_module(node_model("BatchNormalization", {"x": x}, weights)).train()
    own = torch.nn.BatchNorm2d(4)
    names = ("weight", "bias", "running_mean", "running_var")
    own.load_state_dict(
        {name: torch.from_numpy(array) for name, array in zip(names, weights.values(), strict=True)},
        strict=False,
    )
    y = module({"x": torch.from_numpy(x)})["y0"]
    torch.testing.assert_close(y, own(torch.from_numpy(x)))
    buffers = dict(module.named_buffers())
    torch.testing.assert_close(buffers["mean"], own.running_mean)
    torch.testing.assert_close(buffers["variance"], own.running_var)


@pytest.mark.parametrize("outputs", [1, 2])
def test_dropout_only_drops_in_training_and_keeps_the_mean(outputs: int) -> None:
    x = np.ones((100, 100), np.float32)
    module = graph_module(
        node_model("Dropout", {"x": x}, {"ratio": np.array(0.3, np.float32)}, outputs=outputs)
    )
    assert torch.equal(module.eval()({"x": torch.from_numpy(x)})["y0"], torch.ones(100, 100))
    answers = module.train()({"x": torch.from_numpy(x)})
    assert abs((answers["y0"] == 0).float().mean().item() - 0.3) < 0.02
    assert abs(answers["y0"].mean().item() - 1.0) < 0.03
    if outputs == 2:
        assert torch.equal(answers["y1"], answers["y0"] != 0)


def test_dropout_in_evaluation_too_is_refused() -> None:
    given: dict[str, Array] = {"ratio": np.array(0.3, np.float32), "mode": np.array(True)}
    with pytest.raises(Refusal, match="training_mode"):
        graph_module(node_model("Dropout", {"x": rand(2, 2)}, given))


@pytest.mark.parametrize(("op", "inputs", "weights", "more"), CASES)
def test_operators_with_weights_train_under_autocast(
    op: str, inputs: dict[str, Any], weights: dict[str, Any], more: dict[str, Any]
) -> None:
    feeds = {name: rand(*shape) for name, shape in inputs.items()}
    module = graph_module(node_model(op, feeds, constants(weights), **more))
    tensors = {name: torch.from_numpy(array) for name, array in feeds.items()}
    with torch.no_grad():
        exact = module(tensors)["y0"]
    for dtype in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", torch.bfloat16):
            y = module({name: value.to(dtype) for name, value in tensors.items()})["y0"]
        assert (y - exact).abs().max() <= 0.05 * exact.abs().max()
        if list(module.parameters()):
            y.float().sum().backward()
            assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in module.parameters())


def test_batch_normalisation_trains_under_autocast() -> None:
    x = rand(8, 4, 5, 5)
    weights = {name: np.abs(rand(4, seed=i)) for i, name in enumerate(("w", "b", "mean", "variance"))}
    module = graph_module(node_model("BatchNormalization", {"x": x}, weights)).train()
    with torch.autocast("cpu", torch.bfloat16):
        module({"x": torch.from_numpy(x).bfloat16()})["y0"].float().sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    assert dict(module.named_buffers())["mean"].dtype == torch.float32
