"""The real models: how many blocks each has, and that it runs without them."""

from pathlib import Path

import onnx_ir as ir
import pytest

from worker.compression.graph.blocks.find import residual_blocks
from worker.compression.graph.blocks.removal import without_blocks
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.runtime.session import open_cpu_session

MODELS = Path(__file__).parents[6] / "shared" / "models"
BLOCKS = {
    "resnet20-cifar10.onnx": (7, 2),
    "vittracker.onnx": (6, 0),
    "yolox_nano.onnx": (7, 0),
    "ppocrv3-det.onnx": (18, 3),
    "ultraface-rfb-320.onnx": (0, 1),
    "squeezenet1.1.onnx": (0, 0),
}


@pytest.mark.skipif(not MODELS.is_dir(), reason=f"{MODELS} is not here")
@pytest.mark.parametrize("name", BLOCKS)
def test_the_blocks_of_a_shared_model(name: str) -> None:
    model = normalise(ir.load(MODELS / name))
    found = residual_blocks(model)
    assert (len(found.blocks), len(found.pinned)) == BLOCKS[name]
    smaller = without_blocks(model, found.blocks)
    session = open_cpu_session(ir.to_proto(smaller).SerializeToString(), threads=1)
    assert [value.name for value in session.get_outputs()] == [str(v.name) for v in model.graph.outputs]
