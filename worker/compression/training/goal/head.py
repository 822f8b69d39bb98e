"""Says what an output means, and where in the graph the loss is taken.

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
    `batch_axis` counts the samples; once these are in front, `class_axis` has the classes."""

    output: str
    value: str
    meaning: Meaning
    batch_axis: int = 0
    class_axis: int = 1

    def read(self, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Take the output's values: samples in front, then classes where they mean some."""
        x = values[self.value].movedim(self.batch_axis, 0) if self.batch_axis else values[self.value]
        return (
            x if self.class_axis == 1 or self.meaning != "classification" else x.movedim(self.class_axis, 1)
        )


def head_of(
    model: ir.Model, output: str | None, meaning: Meaning | Literal["auto"], class_axis: int = 1
) -> Head:
    """Find the head of an output, the first by default. `auto`: classes where it is [N, C] and C not 1, else numbers.

    Raises `Refusal` `unknown_output`, also for classes along an axis that it has not.
    """
    value = output_of(model, output)
    if meaning == "auto":
        several = value.shape is not None and len(value.shape) == 2 and value.shape[1] != 1
        meaning = "classification" if several else "regression"
    producer = value.producer()
    logits = value
    if meaning == "classification" and producer is not None and producer.op_type in PROBABILITIES:
        assert producer.inputs[0] is not None
        logits = producer.inputs[0]
    rank = None if value.shape is None else len(value.shape)
    if class_axis != 1 and rank is not None and not -rank < class_axis < rank:
        raise Refusal(
            "unknown_output",
            f"Output {value.name!r} has {rank} axes, the samples' among them: no classes lie along axis {class_axis}.",
        )
    batch_axis = batch_axes(model).get(str(value.name)) or 0
    return Head(str(value.name), str(logits.name), meaning, batch_axis, class_axis)


def output_of(model: ir.Model, name: str | None) -> ir.Value:
    """Find the output of that name, or the first. Raises `Refusal` `unknown_output`."""
    outputs = model.graph.outputs
    value = next((value for value in outputs if name in (None, value.name)), None)
    if value is None:
        listed = ", ".join(repr(value.name) for value in outputs)
        raise Refusal("unknown_output", f"The model has no output {name!r}; it has {listed}.")
    return value
