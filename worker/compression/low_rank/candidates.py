"""Finds the layers of a graph that `low_rank` can factorise, what each could become, and why not the others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import onnx_ir as ir

from winnow.contract.recipe import LowRank
from worker.compression.graph.shapes.shapes import with_shapes
from worker.compression.ir.operator_sets import MATMULS_AND_CONV
from worker.compression.layers.linear import Linear, linear
from worker.compression.low_rank.decompositions import Cost, Geometry, geometry
from worker.compression.low_rank.layer_study import LayerStudy, split_kinds
from worker.compression.low_rank.rank_allocation import Option
from worker.compression.steps.eligibility import NOT_PLAIN, why_ineligible

NEVER_FACTORISED: Final = ("ConvTranspose", "LSTM", "GRU", "RNN")
"""Operators with weights that stay as they are: counted, never changed."""
NOMINAL_COSTS: Final = (
    "The shapes inside the model are not known, so the multiplications of different layers were compared for one place "
    "of each output. Calibration data, or inputs with numbers for dimensions, would tell them."
)


@dataclass(frozen=True)
class Candidate:
    """A layer, its options, of which the first leaves it as it is, and the one that is `chosen`. `reason`: why it stays
    as it is."""

    node: ir.Node
    study: LayerStudy | None = None
    options: tuple[Option, ...] = ()
    reason: str | None = None
    chosen: Option | None = None


def find_candidates(
    model: ir.Model, step: LowRank, shapes: dict[str, list[int]] | None
) -> tuple[list[Candidate], bool]:
    """List every layer of the main graph, in order, and whether multiplications are counted on real shapes."""
    layers = list(_layers(model, step))
    shaped = {node.name: node for node in with_shapes(model, shapes).graph}
    geometries = {
        layer.name: geometry(layer, shaped[layer.name]) for _, layer, _ in layers if layer is not None
    }
    counted = all(size is not None for size in geometries.values())
    return [
        _candidate(node, layer, reason, geometries if counted else {}, step) for node, layer, reason in layers
    ], counted


def with_options(candidate: Candidate, step: LowRank) -> Candidate:
    """Add all options that save multiplications, and weights too where these are the target."""
    study = candidate.study
    if study is None:
        return candidate
    original = study.geometry.cost
    options = (study.vbmf_options if step.rank == "vbmf" else study.rank_options)(step.convolution)
    saving = [option for option in options if _saves(option.cost, original, step)]
    if saving:
        return replace(candidate, options=(Option(original), *saving))
    noise = "its weights may be noise alone, or have a rank" if step.rank == "vbmf" else "there is no rank"
    return replace(candidate, reason=f"{noise} that saves nothing")


def with_decision(candidate: Candidate, option: Option, step: LowRank) -> Candidate:
    """Choose one of its options."""
    reason = "the target is reached without it"
    if step.rank == "energy":
        reason = f"keeping {step.energy:g} of the energy takes ranks that save nothing"
    return replace(candidate, chosen=option, reason=reason if option.split is None else None)


def _layers(model: ir.Model, step: LowRank) -> Iterator[tuple[ir.Node, Linear | None, str | None]]:
    for node in model.graph:
        if node.domain in ("", "ai.onnx") and node.op_type in (*MATMULS_AND_CONV, *NEVER_FACTORISED):
            layer = linear(node)
            yield node, layer, _why_ineligible(node, layer, step)


def _candidate(
    node: ir.Node,
    layer: Linear | None,
    reason: str | None,
    geometries: Mapping[str, Geometry | None],
    step: LowRank,
) -> Candidate:
    if layer is None or reason is not None:
        return Candidate(node, reason=reason)
    size = geometries.get(layer.name) or geometry(layer, None)
    assert size is not None
    if split_kinds(size, step.convolution):
        return Candidate(node, LayerStudy(layer, size))
    return Candidate(node, reason=_why_no_split(size, step))


def _why_ineligible(node: ir.Node, layer: Linear | None, step: LowRank) -> str | None:
    return why_ineligible(
        node,
        node.inputs[1:2],
        step.exclude,
        operator=f"{node.op_type} is not factorised" if node.op_type in NEVER_FACTORISED else None,
        readers=[node],
        rule=lambda: None if layer is not None else NOT_PLAIN,
    )


def _why_no_split(size: Geometry, step: LowRank) -> str:
    if size.out == 1:
        what = "depthwise" if size.groups > 1 else "one output"
        return f"{what}: there are no channels to bring together"
    return f"there is no {step.convolution} split of a {'×'.join(map(str, size.kernel))} kernel"


def _saves(cost: Cost, original: Cost, step: LowRank) -> bool:
    return cost.macs < original.macs and (step.rank != "parameters" or cost.parameters < original.parameters)
