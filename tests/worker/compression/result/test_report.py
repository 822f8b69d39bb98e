"""What a report says of layers adds up."""

from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
from pydantic import TypeAdapter

from tests.support.graphs import mlp
from winnow.contract.recipe import AnyStep
from worker.compression.apply import apply
from worker.compression.graph.facts import cost
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.progress import Silent
from worker.compression.result.report import layers
from worker.compression.steps.context import Context

LOW_RANK: dict[str, Any] = {"kind": "low_rank"}
SHAPES = {"features": [1, 128]}
BIASES = 128 + 10


@pytest.mark.parametrize(
    "kinds",
    [
        [LOW_RANK],
        [LOW_RANK, LOW_RANK],
        [LOW_RANK, {"kind": "int8_dynamic"}],
        [LOW_RANK, {"kind": "weight_only"}],
        *([{"kind": "weight_only", "bits": bits}] for bits in (8, 4, 3, 2)),
        [{"kind": "int8_dynamic"}],
        [{"kind": "palette"}],
        [{"kind": "binary"}],
        [{"kind": "float16"}],
        [{"kind": "bfloat16"}],
        [{"kind": "sparsity", "criterion": "magnitude"}],
    ],
)
def test_what_layers_have_after_adds_up_to_the_models(kinds: list[dict[str, Any]], tmp_path: Path) -> None:
    """Multiplications are those of the whole model, parameters all but the two biases; parts belong to their layer."""
    before = normalise(ir.from_proto(mlp(inputs=128, hidden=128)))
    after = before.clone()
    for index, kind in enumerate(kinds):
        (scratch := tmp_path / str(index)).mkdir()
        step: AnyStep = TypeAdapter(AnyStep).validate_python(kind)
        after = normalise(apply(after, step, Context(scratch, 0, Silent())).model)
    rows = layers(before, after, SHAPES)
    assert all(row.macs is not None and row.size_bytes.after > 0 for row in rows)
    assert sum(row.macs.after for row in rows if row.macs) == cost.macs(after, SHAPES)
    assert sum(row.parameters.after for row in rows) == cost.parameters(after) - BIASES
