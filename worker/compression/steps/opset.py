"""Raising the opset as little as a technique needs, going back at the end, and saying so."""

import onnx
import onnx_ir as ir
from onnx import version_converter

from winnow.contract.errors import Refusal
from worker.compression.graph.opset.conversion import lower_opset, opset_of, raise_opset


def raised(model: ir.Model, minimum: int, why: str) -> tuple[ir.Model, list[str]]:
    """The model at opset `minimum` or higher, and a note if that had to be changed. Raises `step_failed`."""
    before = opset_of(model)
    if before >= minimum:
        return model, []
    try:
        converted = raise_opset(model, minimum)
    except (version_converter.ConvertError, RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        raise Refusal(
            "step_failed",
            f"{why.capitalize()} needs opset {minimum}, the model has {before}, and raising it failed: {error}. "
            f"Export the model with opset {minimum} or later.",
        ) from error
    return converted, [f"The opset was raised from {before} to {minimum}: {why} needs it."]


def returned(model: ir.Model, original: ir.Model, least: int = 1) -> list[str]:
    """Take the model back towards the original's opset, or `least`, as far as it means the same there; a note if that
    is anywhere.

    The model is changed by its labels alone.
    """
    before = opset_of(model)
    floor = max(least, opset_of(original))
    after = opset_of(lower_opset(model, floor, ir_floor=original.ir_version))
    if after == before:
        return []
    if after == opset_of(original):
        return [f"The artifact is back at opset {after}, the model's own: its operators mean the same there."]
    return [f"The artifact went back from opset {before} to {after}, the lowest that its operators need."]
