"""A graph with Q/DQ nodes as a module: what it computes, what it trains, what it writes back."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch

from tests.support.digits import DECLARATION, digits
from tests.support.ort import largest_difference, run
from winnow.contract.recipe import Int8Static
from worker.compression.data.open import open_samples
from worker.compression.data.source import Source
from worker.compression.engine.working import as_module, write_back
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files
from worker.compression.progress import Silent
from worker.compression.quantization.int8_static import int8_static
from worker.compression.steps.context import Context


@pytest.fixture(params=[8, 4])
def quantized(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ir.Model, np.ndarray]:
    files = digits(tmp_path)
    model = normalise(model_files.load(files.model))
    samples = open_samples(Source(files.data, DECLARATION), inputs_of(model), tmp_path)
    step = Int8Static.model_validate({"kind": "int8_static", "weight_bits": request.param})
    changed = int8_static(model, step, Context(tmp_path, 0, Silent(), samples.take(200)))
    return normalise(changed.model), next(samples.batches(64))["image"]


def answer(model: ir.Model, x: np.ndarray) -> list[np.ndarray]:
    with torch.no_grad():
        return [as_module(model).eval()({"image": torch.from_numpy(x)})["logits"].numpy()]


def test_it_computes_what_onnx_runtime_does(quantized: tuple[ir.Model, np.ndarray]) -> None:
    """A value that lies between two steps may be rounded the other way: 2 % of the largest magnitude."""
    model, x = quantized
    assert largest_difference(run(model, {"image": x}), answer(model, x)) < 0.02


def test_untrained_it_is_written_back_as_it_was(quantized: tuple[ir.Model, np.ndarray]) -> None:
    model, _ = quantized
    before = {name: value.const_value.numpy().copy() for name, value in model.graph.initializers.items()}  # type: ignore[union-attr]
    write_back(as_module(model), model)
    for name, array in before.items():
        stored = model.graph.initializers[name].const_value
        assert stored is not None
        np.testing.assert_allclose(
            stored.numpy().astype(np.float64), array.astype(np.float64), rtol=1e-6, err_msg=name
        )


def test_trained_the_file_computes_what_the_module_did_and_weights_stay_in_their_range(
    quantized: tuple[ir.Model, np.ndarray],
) -> None:
    model, x = quantized
    widest = {
        name: int(np.abs(value.const_value.numpy().astype(np.int64)).max())
        for name, value in model.graph.initializers.items()
        if value.const_value is not None and name.endswith("_quantized") and value.dtype != ir.DataType.INT32
    }
    module = as_module(model)
    assert module.scales
    optimizer = torch.optim.AdamW(module.parameters(), 1e-3)
    for _ in range(5):
        optimizer.zero_grad()
        module({"image": torch.from_numpy(x)})["logits"].square().mean().backward()
        optimizer.step()
        module.constrain()
    with torch.no_grad():
        trained = [module.eval()({"image": torch.from_numpy(x)})["logits"].numpy()]
    write_back(module, model)
    assert largest_difference(trained, answer(model, x)) < 0.02
    assert largest_difference(trained, run(model, {"image": x})) < 0.03
    for name, limit in widest.items():
        stored = model.graph.initializers[name].const_value
        assert stored is not None
        assert np.abs(stored.numpy().astype(np.int64)).max() <= limit
