"""A teacher's answers are kept by row, or else computed anew."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.small_nets import model
from worker.compression.engine.working import as_module
from worker.compression.training.feeding.batches import Batch
from worker.compression.training.feeding.hardware import Hardware
from worker.compression.training.goal.teacher import Teacher

CPU = Hardware(torch.device("cpu"), False, False)
WEIGHTS = {"rows": np.arange(12, dtype=np.float32).reshape(3, 4), "flat": np.array([-1])}
CASES: dict[str, tuple[str, list[list[int]], str]] = {
    "a row each": ("y = Tanh (x)", [[0, 1], [2, 3]], ""),
    "the same for all": ("y = Tanh (rows)", [[0, 1], [2, 3]], "'y' has the shape [3, 4] for 2 samples"),
    "one number": (
        "y = ReduceSum <keepdims = 0> (x)",
        [[0, 1], [2, 3]],
        "'y' has the shape [] for 2 samples",
    ),
    "as much as there is in a sample": (
        "p = NonZero (x)  y = Cast <to = 1> (p)",
        [[0], [3]],
        "depends on the sample",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_answers_without_a_row_for_each_sample_are_computed_anew(case: str, tmp_path: Path) -> None:
    """Whatever is kept, they are those that the graph computes, and it is told why nothing is."""
    body, batches, why = CASES[case]
    net = model(f"(float[N,4] x) => (float[M,K] y) {{ {body} }}", WEIGHTS)
    teacher = Teacher(as_module(net), CPU, 4, tmp_path, {})
    x = torch.tensor(np.tril(np.ones((4, 4), np.float32)))
    for rows in batches * 2:
        batch: Any = Batch({"x": x[rows]}, None, np.array(rows))
        assert torch.equal(teacher.outputs(batch)["y"], as_module(net)({"x": x[rows]})["y"])
    assert (why in (teacher.why_not_kept or "")) is True
    assert (teacher.why_not_kept is None) == (not why)
