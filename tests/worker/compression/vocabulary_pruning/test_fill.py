"""What stands for logits that are gone is as low as it can be, and stays finite in all that computes with it."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from tests.support.lookup_nets import language_model
from worker.compression.graph.tables.find import find_tables
from worker.compression.half_precision.casting import MAX_BFLOAT16
from worker.compression.progress import Silent
from worker.compression.steps.context import Context
from worker.compression.vocabulary_pruning.fill import lowest_fill
from worker.compression.vocabulary_pruning.heads import find_heads

HALF, SINGLE = float(np.finfo(np.float16).min), float(np.finfo(np.float32).min)
FOUR = "four = Constant <value_float=4.0> ()\n "
LOG = "log = LogSoftmax <axis=-1> (scores)\n "


def fill(behind: str, answers: ir.DataType) -> float:
    net = language_model("tied", behind=behind)
    as_written = net.clone()
    as_written.graph.outputs[0].type = ir.TensorType(answers)
    context = Context(Path(), 0, Silent(), as_written=lambda _: as_written)
    return lowest_fill(net, context, find_heads(net, find_tables(net)[0]))


@pytest.mark.parametrize(
    ("behind", "half", "single"),
    [
        ("logits = Identity (scores)", 1, 1),
        ("logits = Softmax <axis=-1> (scores)", 1, 1),
        ("logits = LogSoftmax <axis=-1> (scores)", 2, 1),
        (f"{FOUR}{LOG}logits = Mul (log, four)", 8, 4),
        (f"{FOUR}{LOG}logits = Div (log, four)", 2, 1),
        (f"{FOUR}share = Softmax <axis=-1> (scores)\n logits = Mul (share, four)", 1, 1),
        ("top = ReduceMax <axes=[-1]> (scores)\n logits = Sub (scores, top)", 2, 1),
    ],
)
def test_it_leaves_room_for_what_is_behind(behind: str, half: float, single: float) -> None:
    assert fill(behind, ir.DataType.FLOAT16) == HALF / half
    assert fill(behind, ir.DataType.FLOAT) == SINGLE / single
    assert fill(behind, ir.DataType.BFLOAT16) == -MAX_BFLOAT16 / single
