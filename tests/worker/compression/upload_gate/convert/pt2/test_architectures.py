"""Programs of many kinds still convert, and ONNX Runtime answers what torch answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.ort import largest_difference, run
from worker.compression.onnx_files import model_files
from worker.compression.upload_gate.convert import torch_export

pytest.importorskip("torch")

from tests.support import exported


def difference(make: Callable[[], Any], folder: Path, *, strict: bool) -> float:
    """Largest difference of an output, as a share of its largest magnitude, exported by either of torch's tracers."""
    source, target = folder / "model.pt2", folder / "model.onnx"
    inputs, expected = exported.export(make, source, strict=strict)
    torch_export.convert(source, target, max_bytes=2**30)
    names = [value.name for value in model_files.load(target).graph.inputs]
    answers = run(target, dict(zip(names, [leaf.numpy() for leaf in inputs], strict=True)))
    return largest_difference([np.asarray(leaf) for leaf in expected], answers)


@pytest.mark.parametrize("make", exported.ALL, ids=lambda make: make.__name__)
def test_onnx_answers_what_torch_answers(make: Callable[[], Any], tmp_path: Path) -> None:
    """Every second one exported by torch's strict tracer; `make bench-hostile` takes all both ways."""
    assert difference(make, tmp_path, strict=exported.ALL.index(make) % 2 == 1) <= 1e-3
