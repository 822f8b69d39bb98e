"""Networks of the field as an exporter writes them: what a reader of their papers would take out can go.

`make bench-students` (part `sweep`) does the same with many more, by both exporters, and runs what is left.
"""

from collections.abc import Callable

import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from tests.support import residual_convnets as convnets
from tests.support import residual_transformers as transformers
from tests.support.onnx_export import export_onnx
from worker.compression.graph.blocks.find import residual_blocks
from worker.compression.graph.normal_form.normalise import normalise

PICTURE, IDS = torch.zeros(2, 3, 32, 32), torch.zeros(2, transformers.LENGTH, dtype=torch.int64)


@pytest.mark.parametrize(
    ("make", "inputs", "able", "pinned"),
    [
        (convnets.regnet, [PICTURE], 4, {"its shortcut has layers of its own"}),
        (convnets.efficientnet, [PICTURE], 4, set()),
        (convnets.edsr, [PICTURE], 4, {"it holds other blocks"}),
        (transformers.swin, [PICTURE], 8, set()),
        (transformers.T5, [IDS, IDS], 10, set()),
        (transformers.conformer, [torch.zeros(2, 40, 20)], 8, set()),
    ],
)
def test_the_blocks_that_a_paper_draws_can_go(
    make: Callable[[], nn.Module], inputs: list[Tensor], able: int, pinned: set[str]
) -> None:
    torch.manual_seed(0)
    found = residual_blocks(normalise(ir.from_proto(export_onnx(make().eval(), inputs, "torchscript"))))
    assert (len(found.blocks), {each.reason for each in found.pinned}) == (able, pinned)
