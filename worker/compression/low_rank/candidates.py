"""Which layers of a graph `low_rank` can factorise, what each could become, and why not the others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import onnx_ir as ir

from winnow.contract.recipe import LowRank
from worker.compression.graph.shapes.shapes import with_shapes
from worker.compression.layers.linear import Linear, linear
from worker.compression.low_rank.decompositions import Cost, Geometry, geometry
from worker.compression.low_rank.layer_study import Study, ways
from worker.compression.low_rank.rank_allocation import Option
from worker.compression.steps.eligibility import NOT_PLAIN, why_ineligible

PRODUCTS: Final = ("Conv", "Gemm", "MatMul")
OTHERS: Final = ("ConvTranspose", "LSTM", "GRU", "RNN")
"""Have weights, and stay as they are: counted, never changed."""
NOMINAL: Final = (
    "The shapes inside the model are not known, so the multiplications of different layers were compared for one place "
    "of each output. Calibration data, or inputs with numbers for dimensions, would tell them."
)


@dataclass(frozen=True)
class Case:
    """A layer, what it could become, and which of that is `chosen`; the first option is what it is. `reason`: why it
    stays so."""

    node: ir.Node
    study: Study | None = None
    options: tuple[Option, ...] = ()
    reason: str | None = None
    chosen: Option | None = None


def cases(model: ir.Model, step: LowRank, shapes: dict[str, list[int]] | None) -> tuple[list[Case], bool]:
    """Every layer of the main graph, in order, and whether multiplications are counted on real shapes."""
    found = list(_found(model, step))
    shaped = {node.name: node for node in with_shapes(model, shapes).graph}
    counted = {layer.name: geometry(layer, shaped[layer.name]) for _, layer, _ in found if layer is not None}
    known = all(size is not None for size in counted.values())
    return [
        _case(node, layer, reason, counted if known else {}, step) for node, layer, reason in found
    ], known


def looked_at(case: Case, step: LowRank) -> Case:
    """With all options that save multiplications, and weights too where these are the target."""
    if case.study is None:
        return case
    own = case.study.geometry.cost
    look = case.study.look_behind_noise if step.rank == "vbmf" else case.study.look
    saving = [option for option in look(step.convolution) if _saves(option.cost, own, step)]
    if saving:
        return replace(case, options=(Option(own), *saving))
    noise = "its weights may be noise alone, or have a rank" if step.rank == "vbmf" else "there is no rank"
    return replace(case, reason=f"{noise} that saves nothing")


def decided(case: Case, option: Option, step: LowRank) -> Case:
    """With one of its options."""
    reason = "the target is reached without it"
    if step.rank == "energy":
        reason = f"keeping {step.energy:g} of the energy takes ranks that save nothing"
    return replace(case, chosen=option, reason=reason if option.split is None else None)


def _found(model: ir.Model, step: LowRank) -> Iterator[tuple[ir.Node, Linear | None, str | None]]:
    for node in model.graph:
        if node.domain in ("", "ai.onnx") and node.op_type in (*PRODUCTS, *OTHERS):
            layer = linear(node)
            yield node, layer, _why_ineligible(node, layer, step)


def _case(
    node: ir.Node,
    layer: Linear | None,
    reason: str | None,
    counted: Mapping[str, Geometry | None],
    step: LowRank,
) -> Case:
    if layer is None or reason is not None:
        return Case(node, reason=reason)
    size = counted.get(layer.name) or geometry(layer, None)
    assert size is not None
    if ways(size, step.convolution):
        return Case(node, Study(layer, size))
    return Case(node, reason=_no_way(size, step))


def _why_ineligible(node: ir.Node, layer: Linear | None, step: LowRank) -> str | None:
    return why_ineligible(
        node,
        node.inputs[1:2],
        step.exclude,
        operator=f"{node.op_type} is not factorised" if node.op_type in OTHERS else None,
        readers=[node],
        rule=lambda: None if layer is not None else NOT_PLAIN,
    )


def _no_way(size: Geometry, step: LowRank) -> str:
    if size.out == 1:
        what = "depthwise" if size.groups > 1 else "one output"
        return f"{what}: there are no channels to bring together"
    return f"there is no {step.convolution} split of a {'×'.join(map(str, size.kernel))} kernel"


def _saves(cost: Cost, own: Cost, step: LowRank) -> bool:
    return cost.macs < own.macs and (step.rank != "parameters" or cost.parameters < own.parameters)
