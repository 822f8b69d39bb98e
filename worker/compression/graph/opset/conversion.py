"""Raise a model's opset for working, and lower it again.

Up by onnx's own C++ converter, never silently: onnxscript's wrote invalid graphs for several published models, onnx's
took all of them within 1.2e-6; what it gets wrong `rewrites` writes first. Down by the label alone, and only as
far as every node means the same there, unless a lower opset is asked for.
"""

import logging
from collections.abc import Callable

import onnx_ir as ir
from onnx import version_converter
from onnx_ir.passes import common as passes

from worker.compression.graph.opset.ir_version import (
    INITIALIZERS_ALONE,
    version_for_content,
    version_for_opset,
)
from worker.compression.graph.opset.rewrites import REWRITES, check_convertible, write_axes_as_attributes
from worker.compression.graph.opset.versions import first_opset_with, fits, means_the_same, version_of
from worker.compression.graph.shapes.shapes import infer
from worker.compression.ir.values import nodes_of
from worker.compression.onnx_files.without_weights import without_weights

log = logging.getLogger(__name__)


def opset_of(model: ir.Model) -> int:
    """Return the version of the default operator set (1 where a model imports none)."""
    return model.opset_imports.get("", model.opset_imports.get("ai.onnx", 1))


def raise_opset(model: ir.Model, minimum: int) -> ir.Model:
    """Return the same model if its opset is `minimum` or more, else one converted to exactly `minimum`.

    Weights are shared with the model given, never copied, so they may be of any size.
    Raises onnx's `ConvertError` or `RuntimeError`, or `ValueError`, where an operator has no way up, `ValidationError`
    if the result is not valid.
    """
    current = opset_of(model)
    if current >= minimum:
        return model
    log.info("raising the opset from %d to %d", current, minimum)
    check_convertible(model, current, minimum)
    converted = model.clone()
    for rewrite in REWRITES:
        if current <= rewrite.until < minimum:
            converted = _converted(converted, rewrite.at)
            rewrite.apply(converted)
    converted = _converted(converted, minimum)
    passes.CheckerPass()(converted)
    return converted


def _converted(model: ir.Model, opset: int) -> ir.Model:
    """Convert by onnx's converter, which keeps neither metadata nor doc strings, then with shapes inferred."""
    if opset_of(model) == opset:
        return model
    with without_weights(model) as weights:
        proto = ir.to_proto(model)
    converted: ir.Model = ir.from_proto(version_converter.convert_version(proto, opset))
    for name, value in converted.graph.initializers.items():
        value.const_value = weights.get(name, value.const_value)
    converted.metadata_props.update(model.metadata_props)
    converted.doc_string, converted.graph.doc_string = model.doc_string, model.graph.doc_string
    converted.ir_version = max(model.ir_version, version_for_opset(opset))
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(converted)
    infer(converted)
    return converted


def raise_for(model: ir.Model, wanted: Callable[[ir.Node], int]) -> ir.Model:
    """Return the model if every node's operator has version `wanted(node)` or later, else one at the smallest such
    opset.

    Only nodes of ONNX's own domain are asked about. Raises `ValueError` for a version that no opset has, and what
    `raise_opset` raises.
    """
    current = opset_of(model)
    return raise_opset(
        model, max((_opset_for(n, wanted(n), current) for n in nodes_of(model)), default=current)
    )


def lower_opset(model: ir.Model, floor: int, *, ir_floor: int = INITIALIZERS_ALONE) -> ir.Model:
    """Label the same model with the lowest opset from `floor` on at which each of its nodes means what it means now.

    The IR version goes back as well, not below `ir_floor` nor below what the content needs.
    """
    current = opset_of(model)
    lowest = next((k for k in range(floor, current) if _is_valid_at(model, current, k)), current)
    if lowest < current:
        log.info("the opset goes back from %d to %d", current, lowest)
        for imports in (model.opset_imports, *(f.opset_imports for f in model.functions.values())):
            if "" in imports:
                imports[""] = lowest
    model.ir_version = min(
        model.ir_version, max(ir_floor, version_for_opset(lowest), version_for_content(model))
    )
    return model


def convert_down(model: ir.Model, opset: int) -> ir.Model:
    """Return the model at exactly this lower opset: by the label as far as the meaning is known to stay, by onnx's
    converter, or, where that has no way down, by the label where every node has the form of then.

    Whoever asks has to compare the outputs. Weights are shared with the model given. Raises like `raise_opset`, and
    `ValueError` with the first node that has no form there.
    """
    lowered = lower_opset(model.clone(), opset)
    if opset_of(lowered) == opset:
        return lowered
    try:
        converted = _converted(lowered, opset)
    except (
        version_converter.ConvertError,
        RuntimeError,
    ):  # it has no way down for Relu, MatMul and many others
        converted = labelled(lowered, opset)
    converted.ir_version = min(converted.ir_version, lowered.ir_version)
    passes.CheckerPass()(converted)
    return converted


def labelled(model: ir.Model, opset: int) -> ir.Model:
    """Label the same model with a lower opset, axes written as attributes where they were. Raises `ValueError` with the
    first node that has no form there."""
    current = opset_of(model)
    write_axes_as_attributes(model, opset)
    for node in nodes_of(model):
        if not fits(node, current, opset):
            raise ValueError(f"{node.op_type} ({node.name}) has no such form in opset {opset}")
    model.opset_imports[""] = opset
    return model


def _opset_for(node: ir.Node, version: int, current: int) -> int:
    have = version_of(node.op_type, current)
    if have is None or have >= version:
        return current
    opset = first_opset_with(node.op_type, version)
    if opset is None:
        raise ValueError(f"{node.op_type} ({node.name}) has no version {version} or later")
    return opset


def _is_valid_at(model: ir.Model, current: int, opset: int) -> bool:
    # a function that imports another opset than the model does is left alone, and the model with it
    if any(f.opset_imports.get("", current) != current for f in model.functions.values()):
        return False
    return all(means_the_same(node, current, opset) for node in nodes_of(model))
