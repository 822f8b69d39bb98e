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


PROGRAMS: list[tuple[Callable[[], Any], bool]] = [
    (
        exported.together(exported.residual, exported.embedding, exported.odd_names, exported.infinities),
        False,
    ),
    (exported.together(exported.recurrent, exported.constants, exported.weights), True),
    (exported.attention, True),
    (exported.branches, False),
    (exported.loop, True),
    (exported.nested, False),
    (exported.sizes, False),
    (exported.integers, True),
]
"""And whether torch's strict tracer exports it."""


@pytest.mark.parametrize(("make", "strict"), PROGRAMS, ids=lambda value: getattr(value, "__name__", ""))
def test_onnx_answers_what_torch_answers(make: Callable[[], Any], strict: bool, tmp_path: Path) -> None:
    """`make bench-hostile` takes each by itself, both ways."""
    assert difference(make, tmp_path, strict=strict) <= 1e-3


def test_every_program_is_among_them() -> None:
    names = [name for make, _ in PROGRAMS for name in make.__name__.split("+")]
    assert sorted(names) == sorted(make.__name__ for make in exported.ALL)
