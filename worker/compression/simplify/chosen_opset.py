"""Raise or lower a model to the opset that was asked for."""

import onnx
import onnx_ir as ir
from onnx import version_converter

from winnow.contract.errors import Refusal
from worker.compression.graph.opset.conversion import convert_down, opset_of, raise_opset


def at_opset(model: ir.Model, opset: int) -> ir.Model:
    """Return the model at this opset. Raises `Refusal` `step_failed` where an operator has no form there."""
    before = opset_of(model)
    if before == opset:
        return model
    try:
        return raise_opset(model, opset) if before < opset else convert_down(model, opset)
    except (version_converter.ConvertError, RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        way = "raised" if before < opset else "lowered"
        raise Refusal(
            "step_failed",
            f"The model has opset {before} and cannot be {way} to {opset}: {error}. Ask for another opset, or leave it "
            "out.",
        ) from error
