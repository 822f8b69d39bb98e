"""float16 beside subgraphs, sequences and optionals, which keep float32: what passes through them is right."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from tests.support.containers import BODIES, through
from tests.support.ort import run
from winnow.contract.recipe import Float16
from worker.compression.apply import apply
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.progress import Silent
from worker.compression.steps.context import Context

X = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("keep_io_types", [True, False])
def test_what_passes_through_it_runs_and_is_of_the_type_asked_for(
    kind: str, keep_io_types: bool, tmp_path: Path
) -> None:
    step = Float16(kind="float16", keep_io_types=keep_io_types)
    made = apply(normalise(ir.from_proto(through(kind))), step, Context(tmp_path, 0, Silent()))
    proto = ir.to_proto(normalise(made.model))
    onnx.checker.check_model(proto, full_check=True)
    dtype = np.float32 if keep_io_types else np.float16
    found = run(made.model, {"x": X.astype(dtype)})
    assert made.changed >= 3
    for answer, expected in zip(found, run(through(kind), {"x": X}), strict=True):
        assert answer.dtype == dtype
        np.testing.assert_allclose(answer, expected, atol=3e-3)


@pytest.mark.parametrize("kind", BODIES)
def test_values_that_are_no_tensors_are_known_as_such(kind: str) -> None:
    """Readers that take a sequence for a tensor would put a Cast in front of it."""
    model = normalise(ir.from_proto(through(kind)))
    values = [v for node in ir.traversal.RecursiveGraphIterator(model.graph) for v in node.outputs]
    assert all(value.type is not None for value in values if value.name)
