"""Raise or lower a model to the opset that was asked for."""

import onnx
import onnx_ir as ir
from onnx import version_converter

from winnow.contract.errors import Refusal
from worker.compression.graph.opset.conversion import convert_down, lower_opset, opset_of, raise_opset


def at_opset(model: ir.Model, opset: int, *, compared: bool) -> ir.Model:
    """Return the model at this opset. Unless the outputs will be `compared`, it goes down only as far as its operators
    are known to mean the same.

    Raises `Refusal` `step_failed` where an operator has no form there.
    """
    before = opset_of(model)
    if before == opset:
        return model
    try:
        if before < opset:
            return raise_opset(model, opset)
        if compared:
            return convert_down(model, opset)
        lowered = lower_opset(model.clone(), opset)
        if opset_of(lowered) != opset:
            raise ValueError(
                f"without comparing outputs {opset_of(lowered)} is the lowest that means the same"
            )
        return lowered
    except (version_converter.ConvertError, RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        way = "raised" if before < opset else "lowered"
        raise Refusal(
            "step_failed",
            f"The model has opset {before} and cannot be {way} to {opset}: {error}. Ask for another opset, or leave it "
            "out.",
        ) from error
