"""Batch normalisation put back and folded again changes nothing, on a real network: within 1e-4."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.digits import digits
from tests.support.ort import largest_difference, run
from worker.compression.engine import batchnorm
from worker.compression.engine.module import GraphModule
from worker.compression.engine.working import as_module, write_back
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files


@pytest.fixture
def images(tmp_path: Path) -> tuple[Path, np.ndarray]:
    files = digits(tmp_path)
    with np.load(files.data) as archive:
        return files.model, archive["images"][:256, None].astype(np.float32) / 16


def out(module: GraphModule, x: np.ndarray) -> list[np.ndarray]:
    with torch.no_grad():
        return [module.eval()({"image": torch.from_numpy(x)})["logits"].numpy()]


def test_restoring_changes_no_output(images: tuple[Path, np.ndarray]) -> None:
    path, x = images
    module = as_module(normalise(model_files.load(path)))
    before = out(module, x)
    assert batchnorm.restore(module, [{"image": torch.from_numpy(x)}]) == 2
    assert largest_difference(before, out(module, x)) < 1e-4


def test_folding_after_training_changes_no_output_and_goes_into_the_graph(
    images: tuple[Path, np.ndarray],
) -> None:
    path, x = images
    graph = normalise(model_files.load(path))
    module = as_module(graph)
    batchnorm.restore(module, [{"image": torch.from_numpy(x)}])
    before = out(module, x)
    optimizer = torch.optim.SGD(module.parameters(), 0.05)
    module.train()
    for _ in range(5):
        optimizer.zero_grad()
        module({"image": torch.from_numpy(x)})["logits"].square().mean().backward()
        optimizer.step()
    trained = out(module, x)
    assert largest_difference(before, trained) > 1e-2  # the training did something
    biases = batchnorm.fold(module)
    assert largest_difference(trained, out(module, x)) < 1e-4
    write_back(module, graph, biases)
    assert "BatchNormalization" not in {node.op_type for node in graph.graph}
    assert largest_difference(trained, run(graph, {"image": x})) < 1e-4


def test_frozen_nodes_get_none(images: tuple[Path, np.ndarray]) -> None:
    path, x = images
    module = as_module(normalise(model_files.load(path)))
    assert batchnorm.restore(module, [{"image": torch.from_numpy(x)}], frozenset({"conv1"})) == 1
