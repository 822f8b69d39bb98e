"""A graph with binary weights as a module: what it computes, what its signs learn, what it writes back."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch.nn import functional

from tests.support.ort import largest_difference
from tests.support.small_nets import digits_net, digits_samples, run
from winnow.contract.recipe import Binary
from worker.compression.data.samples import Samples
from worker.compression.engine.module import GraphModule
from worker.compression.engine.working import as_module, write_back
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.progress import Silent
from worker.compression.quantization.binary import binary
from worker.compression.steps.context import Context


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return digits_samples(tmp_path_factory.mktemp("digits"))


def signs() -> ir.Model:
    step = Binary.model_validate({"kind": "binary"})
    return normalise(binary(digits_net(), step, Context(Path(), 0, Silent())).model)


def codes(model: ir.Model) -> dict[str, np.ndarray]:
    values = model.graph.initializers.items()
    return {name: v.const_value.numpy() for name, v in values if name.endswith("_codes") and v.const_value}


def trained(module: GraphModule, x: np.ndarray, labels: np.ndarray, steps: int) -> None:
    learning = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, 0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(answer(module, x), torch.from_numpy(labels)).backward()
        optimizer.step()
        module.constrain()


def answer(module: GraphModule, x: np.ndarray) -> torch.Tensor:
    return next(iter(module({"image": torch.from_numpy(x)}).values()))


def data(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    assert samples.targets is not None
    return next(samples.batches(1797))["image"], np.asarray(samples.targets).astype(np.int64)


def test_gradients_reach_the_signs_as_they_would_reach_the_weight(samples: Samples) -> None:
    """In units of the channel's scale: ∂/∂latent = scale · ∂/∂weight, here that of a float copy of the weight."""
    model, (x, _) = signs(), data(samples)
    module = as_module(model)
    answer(module, x[:64]).square().mean().backward()
    expanded = digits_net()
    for name, stored in codes(model).items():
        weight = name.removesuffix("_codes")
        scale = model.graph.initializers[f"{weight}_scale"].const_value
        assert scale is not None
        array = (stored.astype(np.float32) - 0.5) * scale.numpy()
        expanded.graph.initializers[weight].const_value = ir.tensor(array, name=weight)
    plain = as_module(expanded)
    answer(plain, x[:64]).square().mean().backward()
    assert len(codes(model)) >= 2
    for name in codes(model):
        weight = name.removesuffix("_codes")
        gradient, wanted = module.weight(name).grad, plain.weight(weight).grad
        assert gradient is not None
        assert wanted is not None
        assert gradient.abs().max() > 0
        scale = module.weight(f"{weight}_scale").detach()
        torch.testing.assert_close(
            gradient, wanted * scale, rtol=1e-3, atol=1e-4 * float(gradient.abs().max())
        )


def test_untrained_it_is_written_back_as_it_was() -> None:
    model = signs()
    before = {name: array.copy() for name, array in codes(model).items()}
    write_back(as_module(model), model)
    for name, array in codes(model).items():
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_trained_signs_have_changed_and_the_file_computes_what_the_module_did(samples: Samples) -> None:
    model, (x, labels) = signs(), data(samples)
    before = {name: array.copy() for name, array in codes(model).items()}
    module = as_module(model)
    trained(module, x[:256], labels[:256], 30)
    with torch.no_grad():
        given = [answer(module.eval(), x[:256]).numpy()]
    write_back(module, model)
    assert all(latents.abs().max() <= 0.5 for latents in module.signs)
    assert all(set(np.unique(array)) <= {0, 1} for array in codes(model).values())
    assert any((array != before[name]).any() for name, array in codes(model).items())
    assert largest_difference(given, [run(model, {"image": x[:256]})]) < 1e-4


def test_signs_that_learn_are_worth_ten_points_over_signs_that_do_not(samples: Samples) -> None:
    """Top-1 on digits that were not trained on, after the same steps."""
    x, labels = data(samples)
    found = {}
    for learn in (False, True):
        torch.manual_seed(0)
        module = as_module(signs())
        for latents in module.signs:
            latents.requires_grad_(learn)
        trained(module, x[:600], labels[:600], 60)
        with torch.no_grad():
            found[learn] = float((answer(module.eval(), x[1200:]).argmax(1).numpy() == labels[1200:]).mean())
    assert found[True] > found[False] + 0.1, found
