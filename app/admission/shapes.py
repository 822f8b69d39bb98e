"""Is there one concrete shape of each input at every batch size: from the model, `benchmark.shapes`, or the data?"""

from collections.abc import Mapping
from math import prod
from typing import Final

from winnow.contract import fitting
from winnow.contract.dataset import DatasetFacts
from winnow.contract.errors import Refusal
from winnow.contract.job import ClosedJob
from winnow.contract.model import ModelFacts
from winnow.contract.package_shapes import with_usual_shapes
from winnow.contract.shapes import Shapes, input_shapes

MAX_ELEMENTS: Final = 2**31
"""Of one input: what a protobuf tensor holds, more or less."""


def check_shapes(request: ClosedJob, model: ModelFacts, datasets: Mapping[str, DatasetFacts]) -> None:
    """Raises `inputs_do_not_fit`, and what `input_shapes` does."""
    example = _example(request, model, datasets)
    benchmark = request.benchmark if example else with_usual_shapes(request.benchmark, model)
    for batch in benchmark.batch_sizes:
        shapes = input_shapes(model.inputs, batch, benchmark.shapes, example)
        for name, shape in shapes.items():
            if prod(shape) > MAX_ELEMENTS:
                raise Refusal(
                    "inputs_do_not_fit",
                    f"Input {name!r} of shape {list(shape)} has more than {MAX_ELEMENTS} elements.",
                    field=f"benchmark.shapes.{name}"
                    if name in request.benchmark.shapes
                    else "benchmark.batch_sizes",
                )


def _example(request: ClosedJob, model: ModelFacts, datasets: Mapping[str, DatasetFacts]) -> Shapes:
    """The shapes that the data gives, at batch size 1."""
    use = request.data.evaluation or request.data.calibration
    return fitting.shapes(use, model, datasets[use.dataset]) if use is not None else {}
