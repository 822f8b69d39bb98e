"""Bring every ONNX graph into one form, in which whatever comes after meets one kind of weight: plain initializers.

Functions are inlined, Constant nodes lifted, initializers taken out of the graph's inputs, what is computed from
constants alone is folded, fused normalisations are taken apart, decided branches are taken, nodes that change nothing
skipped, two that move numbers about in a row written as one, equal ones joined, unused ones dropped, every node named
once, shapes inferred with their symbols, and the ONNX checker run. Nothing that is computed changes by more than 1e-4.
"""

from collections.abc import Iterator
from typing import Final

import onnx
import onnx_ir as ir
from onnx_ir.passes import common as passes

from winnow.contract.errors import Refusal
from worker.compression.graph.nodes.folding_allowance import Allowance
from worker.compression.graph.normal_form.branches import take_branches
from worker.compression.graph.normal_form.cancelling.common_expressions import join_expressions
from worker.compression.graph.normal_form.cancelling.merging import merge_pairs
from worker.compression.graph.normal_form.cancelling.no_ops import skip_no_ops
from worker.compression.graph.normal_form.folding import fold
from worker.compression.graph.normal_form.fused_norms import TakeNormsApart
from worker.compression.graph.normal_form.tracing import Traced, affordable_rounds, trace
from worker.compression.graph.opset.ir_version import INITIALIZERS_ALONE
from worker.compression.graph.shapes.onnx_inference import proto_for_onnx
from worker.compression.ir.naming import FreshNames
from worker.compression.ir.values import graph_of


class NameOnce(ir.passes.InPlacePass):
    """Every node and every value has a name of its own, in subgraphs too: sibling branches may use the same names, and
    files repeat those of nodes. Whatever comes later gets a number; a node without a name is called after its operator.

    Inputs and outputs of the model keep theirs, unless the file repeats those.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        nodes, values = FreshNames(), FreshNames()
        renamed = False
        for value in dict.fromkeys(_values(model)):
            renamed |= value.name != (name := values.fresh(value.name or "v"))
            value.name = name
        for node in ir.traversal.RecursiveGraphIterator(model.graph):
            renamed |= node.name != (name := nodes.fresh(node.name or node.op_type))
            node.name = name
        return ir.passes.PassResult(model, modified=renamed)


def _values(model: ir.Model) -> Iterator[ir.Value]:
    """Those of the signature first, then graph by graph; what an If has no use for is called nothing and stays so."""
    yield from (*model.graph.inputs, *model.graph.outputs)
    for graph in model.graphs():
        yield from (*graph.inputs, *graph.initializers.values())
        for node in graph:
            yield from (value for value in node.outputs if value.name or value.uses())


MAX_ROUNDS: Final = 32
"""Of all rules. The form runs after each; honest exports need two or three."""


def normalise(model: ir.Model, *, norms_apart: bool = True) -> ir.Model:
    """Bring the model into normal form; the one passed in is changed. `model_files.load` made sparse tensors dense.
    Without `norms_apart` normalisations that ONNX Runtime has fused stay so.

    Raises `Refusal` `invalid_model` when the ONNX checker refuses the result.
    """
    model.ir_version = max(model.ir_version, INITIALIZERS_ALONE)
    model = ir.passes.Sequential(
        passes.InlinePass(),
        passes.RemoveInitializersFromInputsPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
        CLEAN,
        *([TakeNormsApart()] if norms_apart else []),
        passes.RemoveUnusedOpsetsPass(),
    )(model).model
    traced = trace(model)
    allowance = Allowance()
    for _ in range(affordable_rounds(model, MAX_ROUNDS)):
        if not _apply_rules(model, traced, allowance):
            break
        CLEAN(model)
        traced = trace(model)
    check(model)
    return model


def _apply_rules(model: ir.Model, traced: Traced, allowance: Allowance) -> bool:
    """Apply each once; one makes room for the others. Returns whether any changed something."""
    changes = [
        fold(model, traced, allowance),
        take_branches(model),
        skip_no_ops(model, traced),
        merge_pairs(model),
        join_expressions(model),
    ]
    return any(changes)


def check(model: ir.Model) -> None:
    """Run the ONNX checker. Raises `Refusal` `invalid_model` with its sentence."""
    try:
        onnx.checker.check_model(proto_for_onnx(model))
    except onnx.checker.ValidationError as error:
        raise Refusal("invalid_model", f"The ONNX checker refuses this model: {error}") from error


class SkipIdentities(ir.passes.InPlacePass):
    """Let whoever reads an Identity read its input. onnx-ir's own pass also joins outputs of subgraphs, wrongly."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        identities = [n for n in ir.traversal.RecursiveGraphIterator(model.graph) if _can_be_skipped(n)]
        for node in identities:
            assert node.inputs[0] is not None
            node.outputs[0].replace_all_uses_with(node.inputs[0])
            graph_of(node).remove(node, safe=True)
        return ir.passes.PassResult(model, modified=bool(identities))


def _can_be_skipped(node: ir.Node) -> bool:
    return node.op_type == "Identity" and node.domain == "" and not node.outputs[0].is_graph_output()


CLEAN: Final = ir.passes.Sequential(
    SkipIdentities(),
    passes.RemoveUnusedNodesPass(),
    passes.TopologicalSortPass(),
    NameOnce(),
)
"""No dead code, nodes in order, every name given once."""
