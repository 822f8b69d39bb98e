"""What an output means, and where in the graph the loss is taken.

Classes are compared before the softmax: where the output is one, its input is read instead (the same gradient, without
the logarithm of a rounded zero).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir
import torch

from winnow.contract.errors import Refusal
from worker.compression.graph.facts.batch_axis import batch_axes

Meaning = Literal["classification", "regression", "embedding"]

PROBABILITIES = frozenset({"Softmax", "LogSoftmax"})


@dataclass(frozen=True)
class Head:
    """`output` as the model calls it, `value` the one that is read (logits, for classes: [N, C, …]), of whose axes
    `batch_axis` counts the samples."""

    output: str
    value: str
    meaning: Meaning
    batch_axis: int = 0

    def read(self, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The answer, samples in front."""
        return values[self.value].movedim(self.batch_axis, 0) if self.batch_axis else values[self.value]


def head_of(model: ir.Model, output: str | None, asked: Meaning | Literal["auto"]) -> Head:
    """`auto`: classes where the output is [N, C] and C not 1, else numbers. Raises `Refusal` `unknown_output`."""
    found = output_of(model, output)
    several = found.shape is not None and len(found.shape) == 2 and found.shape[1] != 1
    meaning: Meaning = asked if asked != "auto" else "classification" if several else "regression"
    producer = found.producer()
    logits = found
    if meaning == "classification" and producer is not None and producer.op_type in PROBABILITIES:
        assert producer.inputs[0] is not None
        logits = producer.inputs[0]
    return Head(str(found.name), str(logits.name), meaning, batch_axes(model).get(str(found.name)) or 0)


def output_of(model: ir.Model, name: str | None) -> ir.Value:
    """The output of that name, or the first. Raises `Refusal` `unknown_output`."""
    outputs = model.graph.outputs
    found = next((value for value in outputs if name in (None, value.name)), None)
    if found is None:
        listed = ", ".join(repr(value.name) for value in outputs)
        raise Refusal("unknown_output", f"The model has no output {name!r}; it has {listed}.")
    return found
