"""Let steps work on the branch that declared constants take, and put the other one back afterwards.

    If(sr == 16000): A  else: B         the upload
    A                                   what the steps see, where the data says that sr is 16000
    If(sr == 16000): A′ else: B         the artifact

So the artifact takes what the upload takes, and answers as the upload does where another number is given. Only models
that are nothing but such a choice are worked on like that: what lies beside the If only computes its condition.
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from worker.compression.graph.normal_form.branches import drop_inputs
from worker.compression.graph.normal_form.normalise import CLEAN, check, normalise
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.ir.naming import Names
from worker.compression.ir.values import array_of, is_constant, required_input
from worker.compression.runtime.evaluate import Array, Call, evaluate

BRANCHES = {True: "then_branch", False: "else_branch"}


def branch_taken(model: ir.Model, constants: Mapping[str, float]) -> bool | None:
    """Compute which branch of the model's one If is taken when these inputs have these values.

    None where the model is not one choice, or where more than the constants decides it.
    """
    choice = _choice(model)
    if choice is None:
        return None
    known = {str(v.name): array for v in model.graph.inputs if (array := _bound(v, constants)) is not None}
    for node in model.graph:
        if node is not choice:
            arrays = [_array(value, known) for value in node.inputs]
            results = None
            if not any(array is None and v is not None for array, v in zip(arrays, node.inputs, strict=True)):
                results = evaluate(Call(node, opset_of(model), arrays))
            if results is None:
                return None
            known |= results
    condition = _array(required_input(choice, 0), known)
    return None if condition is None or condition.size != 1 else bool(condition.item())


def branch_alone(model: ir.Model, taken: bool) -> ir.Model | None:
    """Return a copy that is the taken branch of the model's one If, in normal form; None if it cannot stand alone."""
    copy = model.clone()
    choice = _choice(copy)
    assert choice is not None
    name = Names(copy).fresh("condition")
    condition = ir.Value(name=name, const_value=ir.Tensor(np.array(taken), name=name))
    condition.type, condition.shape = ir.TensorType(ir.DataType.BOOL), ir.Shape([])
    copy.graph.register_initializer(condition)
    choice.replace_input_with(0, condition)
    copy = normalise(copy)
    return copy if _choice(copy) is None else None


def with_other_branch(alone: ir.Model, whole: ir.Model, taken: bool) -> ir.Model:
    """Put `alone` into the whole model, of the same opset, as the taken branch. Both are changed."""
    choice, main, graph, names = _choice(whole), whole.graph, alone.graph, Names(whole)
    assert choice is not None
    drop_inputs(choice.attributes.pop(BRANCHES[taken]).as_graph())
    for value, own in zip(graph.inputs, main.inputs, strict=True):
        value.replace_all_uses_with(own)
    for value in list(graph.initializers.values()):
        del graph.initializers[str(value.name)]
        _share_or_adopt(value, main, names)
    nodes, outputs = list(graph), list(graph.outputs)
    graph.outputs.clear()
    graph.remove(nodes)
    branch = ir.Graph([], outputs, nodes=nodes, name=BRANCHES[taken])
    choice.attributes[BRANCHES[taken]] = ir.AttrGraph(BRANCHES[taken], branch)
    whole.opset_imports.update(alone.opset_imports)
    whole.ir_version = max(whole.ir_version, alone.ir_version)
    whole.metadata_props.update(alone.metadata_props)
    CLEAN(whole)
    check(whole)
    return whole


def _choice(model: ir.Model) -> ir.Node | None:
    """The one If that gives all outputs, where nothing else in the main graph gives its branches anything."""
    choices = [node for node in model.graph if node.op_type == "If" and node.domain == ""]
    if len(choices) != 1 or list(choices[0].outputs) != list(model.graph.outputs):
        return None
    others = (node for node in model.graph if node is not choices[0])
    readers = (use.node for node in others for value in node.outputs for use in value.uses())
    return choices[0] if all(reader.graph is model.graph for reader in readers) else None


def _bound(value: ir.Value, constants: Mapping[str, float]) -> Array | None:
    name = str(value.name)
    if name not in constants or value.shape is None or value.dtype is None:
        return None
    sizes = [dim if isinstance(dim, int) else 1 for dim in value.shape]  # a constant is the same at any size
    return np.full(sizes, constants[name], value.dtype.numpy())


def _array(value: ir.Value | None, known: Mapping[str, Array]) -> Array | None:
    if value is None:
        return None
    return array_of(value) if is_constant(value) else known.get(str(value.name))


def _share_or_adopt(value: ir.Value, main: ir.Graph, names: Names) -> None:
    """Move an initializer to the main graph, or read the equal one that lies there."""
    own = main.initializers.get(str(value.name))
    if own is None:
        main.register_initializer(value)
    elif own.dtype == value.dtype and np.array_equal(array_of(own), array_of(value)):
        value.replace_all_uses_with(own)
    else:
        value.name = names.fresh(str(value.name))
        main.register_initializer(value)
