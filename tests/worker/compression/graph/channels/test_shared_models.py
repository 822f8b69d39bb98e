"""The laws on published models, where they are at hand."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.channels import assert_laws, cut_and_run, every_third
from worker.compression.graph.channels import channel_groups
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files

MODELS = Path(__file__).resolve().parents[6] / "shared" / "models"
FILES = sorted(MODELS.glob("*.onnx"))
OPEN = {"silero-vad-op18.onnx": 576}


@pytest.mark.skipif(not FILES, reason="../shared is not here")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_third_of_the_channels_of_every_group_can_go(path: Path) -> None:
    model = normalise(model_files.load(path))
    channels = every_third(channel_groups(model))
    assert bool(channels) != (
        path.name == "dtln-1.onnx"
    )  # the states of its recurrent layers are inputs and outputs
    feeds = {str(value.name): _noise(value, OPEN.get(path.name, 64)) for value in model.graph.inputs}
    if "int8" in path.name:
        cut_and_run(model, channels, feeds)  # the whole one has no zeros to tell anything by
    else:
        assert_laws(model, channels, feeds)


def _noise(value: ir.Value, size: int) -> np.ndarray:
    dims = [d if isinstance(d, int) else _open(axis, d, size) for axis, d in enumerate(value.shape)]
    if value.dtype != ir.DataType.FLOAT:
        return np.full(dims, 16000, value.dtype.numpy())
    return np.random.default_rng(0).standard_normal(dims).astype(np.float32) * 0.1


def _open(axis: int, dim: ir.SymbolicDim, size: int) -> int:
    return 1 if axis == 0 or "batch" in str(dim.value) else size
