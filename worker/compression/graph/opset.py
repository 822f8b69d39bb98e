"""Which operator set a model uses, and raising it: by onnx's own C++ converter, never silently.

onnxscript's converter wrote invalid graphs for several published models; onnx's took all of them within 1.2e-6.
"""

import logging

import onnx_ir as ir
from onnx import helper, version_converter
from onnx_ir.passes import common as passes

from worker.compression.graph.shapes import infer

log = logging.getLogger(__name__)


def opset_of(model: ir.Model) -> int:
    """The version of the default operator set (1 where a model imports none)."""
    return model.opset_imports.get("", model.opset_imports.get("ai.onnx", 1))


def raise_opset(model: ir.Model, minimum: int) -> ir.Model:
    """The same model if its opset is `minimum` or more, else one converted to exactly `minimum`.

    Raises onnx's `ConvertError` where an operator has no way up, `ValidationError` if the result is not valid.
    """
    current = opset_of(model)
    if current >= minimum:
        return model
    log.info("raising the opset from %d to %d", current, minimum)
    converted: ir.Model = ir.from_proto(version_converter.convert_version(ir.to_proto(model), minimum))
    converted.metadata_props.update(model.metadata_props)
    _reattach(converted, model)
    converted.ir_version = max(model.ir_version, _ir_version_for(minimum))
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(converted)
    infer(converted)
    passes.CheckerPass()(converted)
    return converted


def _reattach(converted: ir.Model, model: ir.Model) -> None:
    """External weights went through as references without their folder: put the memory-mapped ones back."""
    for name, value in converted.graph.initializers.items():
        if isinstance(value.const_value, ir.ExternalTensor):
            value.const_value = model.graph.initializers[name].const_value


def _ir_version_for(opset: int) -> int:
    return int(helper.find_min_ir_version_for([helper.make_opsetid("", opset)], ignore_unknown=True))
