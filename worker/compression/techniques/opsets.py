"""Raising the opset as little as a technique needs, and saying so."""

import onnx
import onnx_ir as ir
from onnx import version_converter

from app.contract.errors import Refusal
from worker.compression.graph.opset import opset_of, raise_opset


def raised(model: ir.Model, minimum: int, why: str) -> tuple[ir.Model, list[str]]:
    """The model at opset `minimum` or higher, and a note if that had to be changed. Raises `step_failed`."""
    before = opset_of(model)
    if before >= minimum:
        return model, []
    try:
        converted = raise_opset(model, minimum)
    except (version_converter.ConvertError, RuntimeError, onnx.checker.ValidationError) as error:
        raise Refusal(
            "step_failed",
            f"{why.capitalize()} needs opset {minimum}, the model has {before}, and raising it failed: {error}. "
            f"Export the model with opset {minimum} or later.",
        ) from error
    return converted, [f"The opset was raised from {before} to {minimum}: {why} needs it."]
