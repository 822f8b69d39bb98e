"""Programs of many kinds still convert, and ONNX Runtime answers what torch answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.ort import largest_difference, run
from worker.compression.convert import torch_export
from worker.compression.graph import store

pytest.importorskip("torch")

from tests.support import exported


@pytest.mark.parametrize("make", exported.ALL, ids=lambda make: make.__name__)
def test_onnx_answers_what_torch_answers(make: Callable[[], Any], tmp_path: Path) -> None:
    """Every second one exported by torch's strict tracer; `make bench-hostile` takes all both ways."""
    source, target = tmp_path / "model.pt2", tmp_path / "model.onnx"
    inputs, expected = exported.export(make, source, strict=exported.ALL.index(make) % 2 == 1)
    torch_export.convert(source, target, max_bytes=2**30)
    names = [value.name for value in store.load(target).graph.inputs]
    answers = run(target, dict(zip(names, [leaf.numpy() for leaf in inputs], strict=True)))
    assert largest_difference([np.asarray(leaf) for leaf in expected], answers) <= 1e-3
