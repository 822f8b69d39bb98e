"""Finds the layers of a graph that `low_rank` can factorise, what each could become, and why not the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import onnx_ir as ir

from winnow.contract.recipe import LowRank
from worker.compression.graph.shapes.shapes import with_shapes
from worker.compression.graph.tables.find import Table, find_tables
from worker.compression.ir.operator_sets import MATMULS_AND_CONV
from worker.compression.ir.values import all_nodes
from worker.compression.layers.linear import Linear, layers_by_weight
from worker.compression.low_rank.decompositions import Geometry, geometry, geometry_of_all
from worker.compression.low_rank.layer_study import LayerStudy, split_kinds
from worker.compression.low_rank.rank_allocation import Option
from worker.compression.low_rank.table_study import TableGeometry, TableStudy, why_no_table
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
    as it is. `weight_of` names the first node that reads its weight, with which it is decided about."""

    node: ir.Node
    study: LayerStudy | TableStudy | None = None
    options: tuple[Option, ...] = ()
    reason: str | None = None
    chosen: Option | None = None
    weight_of: str | None = None


def find_candidates(
    model: ir.Model, step: LowRank, shapes: dict[str, list[int]] | None
) -> tuple[list[Candidate], bool]:
    """List every layer, in order, those of branches and bodies too, and whether multiplications are counted on real
    shapes."""
    shaped = {str(node.name): node for node in all_nodes(with_shapes(model, shapes))}
    tables = {node: table for table in find_tables(model) for node in table.readers}
    layers = {reader.node: layer for layer in layers_by_weight(model) for reader in layer.readers}
    of_layers = {layer.name: geometry_of_all(layer, shaped) for layer in layers.values()}
    of_tables = {table.name: TableGeometry.of(table, shaped) for table in tables.values()}
    counted = None not in of_layers.values() and None not in of_tables.values()
    return [
        _of_table(node, tables[node], of_tables if counted else {}, step)
        if node in tables
        else _of_layer(node, layers.get(node), of_layers if counted else {}, step)
        for node in all_nodes(model)
        if node in tables or _is_layer(node)
    ], counted


def with_options(candidate: Candidate, step: LowRank) -> Candidate:
    """Add all options that save multiplications, and weights too where these are the target; of a table those that save
    weights, and multiplications too where these are the target."""
    study = candidate.study
    if study is None:
        return candidate
    options = (study.vbmf_options if step.rank == "vbmf" else study.rank_options)(step.convolution)
    saving = [option for option in options if _saves(study, option, step)]
    if saving:
        return replace(candidate, options=(Option(study.geometry.cost), *saving))
    noise = "its weights may be noise alone, or have a rank" if step.rank == "vbmf" else "there is no rank"
    return replace(candidate, reason=f"{noise} that saves nothing")


def with_decision(candidate: Candidate, option: Option, step: LowRank) -> Candidate:
    """Choose one of its options."""
    reason = "the target is reached without it"
    if step.rank == "energy":
        reason = f"keeping {step.energy:g} of the energy takes ranks that save nothing"
    return replace(candidate, chosen=option, reason=reason if option.split is None else None)


def with_reasons_of_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Give those that read another's weight the reason of that one."""
    reasons = {str(each.node.name): each.reason for each in candidates}
    return [x if x.weight_of is None else replace(x, reason=reasons[x.weight_of]) for x in candidates]


def _is_layer(node: ir.Node) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in (*MATMULS_AND_CONV, *NEVER_FACTORISED)


def _of_table(
    node: ir.Node, table: Table, geometries: Mapping[str, TableGeometry | None], step: LowRank
) -> Candidate:
    if node is not (first := table.readers[0]):
        return Candidate(node, weight_of=str(first.name))
    reason = why_ineligible(
        node,
        [table.weight],
        step.exclude,
        readers=table.readers,
        rule=lambda: why_no_table(table, step),
    )
    size = geometries.get(table.name) or TableGeometry.nominal(table)
    return Candidate(node, reason=reason) if reason else Candidate(node, TableStudy(table, size))


def _of_layer(
    node: ir.Node, layer: Linear | None, geometries: Mapping[str, Geometry | None], step: LowRank
) -> Candidate:
    if layer is not None and node is not layer.node:
        return Candidate(node, weight_of=layer.name)
    reason = why_ineligible(
        node,
        node.inputs[1:2],
        step.exclude,
        operator=f"{node.op_type} is not factorised" if node.op_type in NEVER_FACTORISED else None,
        readers=[node] if layer is None else [reader.node for reader in layer.readers],
        rule=lambda: None if layer is not None else NOT_PLAIN,
    )
    if layer is None or reason is not None:
        return Candidate(node, reason=reason)
    size = geometries.get(layer.name) or geometry(layer, None)
    assert size is not None
    if split_kinds(size, step.convolution):
        return Candidate(node, LayerStudy(layer, size))
    return Candidate(node, reason=_why_no_split(size, step))


def _why_no_split(size: Geometry, step: LowRank) -> str:
    if size.out == 1:
        what = "depthwise" if size.groups > 1 else "one output"
        return f"{what}: there are no channels to bring together"
    return f"there is no {step.convolution} split of a {'×'.join(map(str, size.kernel))} kernel"


def _saves(study: LayerStudy | TableStudy, option: Option, step: LowRank) -> bool:
    cost, original = option.cost, study.geometry.cost
    fewer_macs, fewer_parameters = cost.macs < original.macs, cost.parameters < original.parameters
    if isinstance(study, TableStudy):
        return fewer_parameters and (step.rank != "macs" or fewer_macs)
    return fewer_macs and (step.rank != "parameters" or fewer_parameters)
