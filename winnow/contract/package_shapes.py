"""Sizes that the graphs of a package leave open, where neither `benchmark.shapes` nor data says them.

Each name is `USUAL` long, the batch 1, and a sum of names and numbers (`past_sequence_length + 1`) what it comes to; a
size that is called nothing, or by what is no such sum, is `USUAL` too.
"""

import re
from collections.abc import Iterable
from typing import Final

from winnow.contract.job import Benchmark
from winnow.contract.model import ModelFacts, TensorSpec
from winnow.contract.shapes import batch_axes

USUAL: Final = 16
NUMBER: Final = re.compile(r"[0-9]{1,9}")
NAME: Final = re.compile(r"[^\W\d]\w*")


def with_usual_shapes(benchmark: Benchmark, model: ModelFacts) -> Benchmark:
    """The same with shapes of those inputs of a package that are open and of which nothing is said."""
    return benchmark if model.graphs is None else usual_shapes(benchmark, model.inputs)


def usual_shapes(benchmark: Benchmark, inputs: Iterable[TensorSpec]) -> Benchmark:
    """The same for all inputs together."""
    specs = list(inputs)
    axes = batch_axes(specs)
    made = {spec.name: _shape(spec, axes[spec.name]) for spec in specs if _is_open(spec, axes[spec.name])}
    return benchmark.model_copy(update={"shapes": {**made, **benchmark.shapes}})


def _is_open(spec: TensorSpec, batch: set[int]) -> bool:
    return any(not isinstance(size, int) and axis not in batch for axis, size in enumerate(spec.shape))


def _shape(spec: TensorSpec, batch: set[int]) -> list[int]:
    return [1 if axis in batch else _size(size) for axis, size in enumerate(spec.shape)]


def _size(size: int | str | None) -> int:
    if isinstance(size, int):
        return size
    terms = [] if size is None else [term.strip() for term in size.split("+")]
    names = [term for term in terms if NAME.fullmatch(term)]
    numbers = [term for term in terms if NUMBER.fullmatch(term)]
    if not names or len(names) + len(numbers) < len(terms):
        return USUAL
    return USUAL * len(names) + sum(map(int, numbers))
