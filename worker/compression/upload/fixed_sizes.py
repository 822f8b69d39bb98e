"""Fix sizes of a model's inputs, and let all shapes follow from them."""

from collections.abc import Sequence

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.graph.facts.batch_axis import batch_axes


def fix_sizes(model: ir.Model, inputs: Sequence[TensorSpec]) -> None:
    """Give the model's inputs these shapes, in place, and write their numbers wherever a name of theirs stands.

    What follows from them is inferred when the model is normalised again. Raises `Refusal` `inputs_do_not_fit` where a
    size was all that said which axis counts the samples.
    """
    shapes, before = {spec.name: spec.shape for spec in inputs}, _axes(model)
    numbers: dict[str, int] = {}
    for value in model.graph.inputs:
        if value.shape is not None:
            numbers |= {
                dim.value: size
                for dim, size in zip(value.shape, shapes[str(value.name)], strict=True)
                if isinstance(dim, ir.SymbolicDim) and dim.value is not None and isinstance(size, int)
            }
            value.shape = ir.Shape(shapes[str(value.name)])
    for graph in model.graphs():
        for value in (*graph.inputs, *(output for node in graph for output in node.outputs)):
            if value.shape is not None:
                dims = (
                    dim if isinstance(dim, int) else numbers.get(dim.value or "", dim) for dim in value.shape
                )
                value.shape = ir.Shape(list(dims))
    if _axes(model) != before:
        raise Refusal(
            "inputs_do_not_fit",
            "Only a name says which axis of the inputs counts the samples, and fix_shapes puts a number in its place. "
            "Leave that size open.",
        )


def _axes(model: ir.Model) -> list[int | None]:
    """Of the inputs."""
    axes = batch_axes(model)
    return [axes[str(value.name)] for value in model.graph.inputs if value.name in axes]
