"""What older versions of an operator say in an attribute and newer ones in an input."""

from collections.abc import Callable
from typing import Any

import torch

from worker.compression.engine.operator import Attributes

Integers = Callable[[torch.Tensor | None], list[int] | None]


def integers(attributes: Attributes, name: str) -> Integers:
    """Make a function from the input (None: left out) to the numbers."""
    fixed = attributes.integers(name)
    return lambda values: fixed if values is None else values.tolist()


def constant(attributes: Attributes, index: int) -> Any:
    """Read the numbers of an input that is an initializer, now, so that no step waits for a GPU; else None."""
    inputs = attributes.node.inputs
    value = inputs[index] if index < len(inputs) else None
    if value is None or not value.is_initializer() or value.const_value is None:
        return None
    return value.const_value.numpy().tolist()


def outputs_used(attributes: Attributes) -> int:
    """Count the outputs up to the last that anything reads."""
    used = [bool(v.name) and (bool(v.uses()) or v.is_graph_output()) for v in attributes.node.outputs]
    return max((i + 1 for i, yes in enumerate(used) if yes), default=0)


def single(numbers: Any) -> Any:
    """Return the number itself where it is the only one, however it is wrapped; else None."""
    while isinstance(numbers, list) and len(numbers) == 1:
        numbers = numbers[0]
    return None if isinstance(numbers, list) else numbers
