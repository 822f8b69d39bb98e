"""Scales the inputs of products so that those with large activations lose least: AWQ (Lin et al. 2023).

    y = W x = (W S)(S⁻¹ x),   s_j = E|x_j|^α, over √(max s · min s)

Q(W S) S⁻¹ rounds the columns of large inputs finer, relative to the others of their block. Products that read one value
share its S. α is that of 0, 0.05, …, 1 with the least error of the outputs on the calibration data,

    Σ tr(E H Eᵀ),   E = Q(W S) S⁻¹ - W,   H = Σ x xᵀ,

summed over the products, on rows spread evenly over each weight; α = 0 changes nothing. S⁻¹ goes into what makes the
value, where that is possible exactly (`scale_folding`). Where it is not, as where a residual reads the value too, one
Mul is put in front of the products, but only where it takes away a tenth of the squared error.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import insert_behind, new_constant
from worker.compression.ir.mapped_tensors import release
from worker.compression.ir.naming import Names
from worker.compression.ir.operator_sets import MATMULS
from worker.compression.layers.input_moments import Moments
from worker.compression.layers.linear import Linear, in_main_graph
from worker.compression.quantization.weights.block_affine import Fitted, Grid
from worker.compression.quantization.weights.eligibility import WeightLayer
from worker.compression.quantization.weights.scale_folding import Fold, divide, place_for

Fit = Callable[[Array, Grid, int], Fitted]
"""Weights [rows, in], a grid and a block to scales and zero points."""
GridOf = Callable[[Linear], Grid]
Measure = Callable[[Sequence[Linear]], Iterator[tuple[Linear, Moments]]]

ALPHAS: Final = tuple(n / 20 for n in range(21))
MAX_SEARCHED: Final = 1 << 16
"""Weights of one product on which the error is reckoned."""
MAX_FACTOR: Final = 1e4
"""Of a channel, each way."""
MOST_LEFT: Final = 0.9
"""Of the squared error, where a Mul is to be worth its time."""
NOT_WORTH: Final = "nothing that makes its input can take the scales, and a Mul is not worth it"
MUL: Final = "a Mul of its own"
NOT_OBSERVED: Final = "its input is not observed: it is no product of the main graph with a weight of its own"
NO_GAIN: Final = "no scales lose less"


@dataclass(frozen=True)
class Group:
    """Products that read one value, and where that can be divided; None where others read it, or nothing takes it."""

    value: ir.Value
    layers: tuple[Linear, ...]
    fold: Fold | None


@dataclass
class Scales:
    """Of the layers by name, float64: what the columns of a weight are multiplied by, and what its rows are divided by;
    and what the report says of each."""

    columns: dict[str, Array] = field(default_factory=dict)
    rows: dict[str, Array] = field(default_factory=dict)
    account: dict[str, dict[str, Any]] = field(default_factory=dict)

    def applied(self, layer: WeightLayer) -> Array:
        """The weight as it is to be rounded, float32 [groups, out, in]."""
        matrix, name = layer.matrix(), str(layer.node.name)
        if name in self.columns or name in self.rows:
            matrix = matrix * self.columns.get(name, np.ones(1)) / self.rows.get(name, np.ones(1))[:, None]
        return np.asarray(matrix, np.float32)


def scale(
    model: ir.Model, chosen: Sequence[WeightLayer], measure: Measure, fit: Fit, grid_of: GridOf, block: int
) -> Scales:
    """Choose scales for the products among the layers, and divide the constants of the model that take them up; of
    weights that is left to `Scales.applied`. `measure` yields the moments of layers, in their order."""
    scales, names = Scales(), Names(model)
    groups = _groups(model, chosen, scales)
    firsts = [group.layers[0] for group in groups]
    for group, (_, sums) in zip(groups, measure(firsts), strict=True):
        found = _search(group.layers, sums, fit, grid_of, block)
        told = {"output_error": found.error, "output_error_unscaled": found.error_before}
        worth = group.fold is not None or found.error**2 <= MOST_LEFT * found.error_before**2
        why = NO_GAIN if not found.alpha else None if worth else NOT_WORTH
        for layer in group.layers:
            release(layer.weight)
            scales.account[layer.name] = {"alpha": found.alpha, "scaled_by": None, "unscaled": why} | told
        if why is None:
            _take_up(model, group, found.factors, scales, names)
    return scales


def _take_up(model: ir.Model, group: Group, factors: Array, scales: Scales, names: Names) -> None:
    if group.fold is None:
        _multiply(model, group, factors, names)
    else:
        divide(group.fold, factors, names)
        if group.fold.layer is not None:
            scales.rows[group.fold.layer.name] = factors
    for layer in group.layers:
        scales.columns[layer.name] = factors
        scales.account[layer.name] |= {"scaled_by": MUL if group.fold is None else group.fold.into}


def _multiply(model: ir.Model, group: Group, factors: Array, names: Names) -> None:
    """Put a Mul behind the value, and let the products read it."""
    inverse = new_constant(
        model.graph, names.fresh(f"{group.value.name}_awq"), (1 / factors).astype(np.float32)
    )
    node = ir.node("Mul", [group.value, inverse], name=names.fresh(f"{group.value.name}_awq_Mul"))
    node.outputs[0].name = names.fresh(f"{group.value.name}_scaled")
    node.outputs[0].shape, node.outputs[0].type = group.value.shape, group.value.type
    insert_behind(model.graph, group.value, node)
    for layer in group.layers:
        layer.node.replace_input_with(0, node.outputs[0])


def _groups(model: ir.Model, chosen: Sequence[WeightLayer], scales: Scales) -> list[Group]:
    """Those that can be scaled; of the others the account says why not."""
    products: dict[ir.Node, Linear] = {}
    for each in chosen:
        layer, name = each.linear, str(each.node.name)
        if (
            layer is None
            or each.node.op_type not in MATMULS
            or layer.twins
            or not in_main_graph(layer, model)
        ):
            scales.account[name] = {"alpha": None, "scaled_by": None, "unscaled": NOT_OBSERVED}
        else:
            products[each.node] = layer
    by_value: dict[ir.Value, list[Linear]] = {}
    for node, layer in products.items():
        if (value := node.inputs[0]) is not None:
            by_value.setdefault(value, []).append(layer)
    groups = []
    for value, layers in by_value.items():
        alone = {use.node for use in value.uses()} == {layer.node for layer in layers}
        fold = place_for(value, layers[0].shape[2], products) if alone else None
        groups.append(Group(value, tuple(layers), fold))
    return groups


@dataclass(frozen=True)
class _Found:
    """`factors` float64 [in]; relative errors of the outputs with them and without."""

    alpha: float
    factors: Array
    error: float
    error_before: float


def _search(layers: Sequence[Linear], sums: Moments, fit: Fit, grid_of: GridOf, block: int) -> _Found:
    sizes = sums.absolute[0] / max(1, sums.rows)
    hessian = sums.hessian[0].astype(np.float32) / np.float32(max(1.0, np.diagonal(sums.hessian[0]).mean()))
    weights = [(_some_rows(layer.matrix()[0]), grid_of(layer)) for layer in layers]
    signal = sum(_weighed(w, hessian) for w, _ in weights)

    def error(factors: Array) -> float:
        return sum(
            _weighed(_rounded(w, factors.astype(np.float32), fit, grid, block) - w, hessian)
            for w, grid in weights
        )

    tried = {alpha: error(factors_of(sizes, alpha)) for alpha in ALPHAS}
    best = min(ALPHAS, key=lambda alpha: tried[alpha])
    return _Found(
        best, factors_of(sizes, best), _relative(tried[best], signal), _relative(tried[0.0], signal)
    )


def factors_of(sizes: Array, alpha: float) -> Array:
    """Of the mean magnitudes of inputs, float64 [in]; 1 for those that are always zero."""
    alive = sizes > np.finfo(np.float32).tiny
    if not alive.any() or not alpha:
        return np.ones_like(sizes)
    raw = np.where(alive, sizes, 1.0) ** alpha
    middle = np.sqrt(raw[alive].max() * raw[alive].min())
    return np.where(alive, np.clip(raw / middle, 1 / MAX_FACTOR, MAX_FACTOR), 1.0)


def _rounded(w: Array, factors: Array, fit: Fit, grid: Grid, block: int) -> Array:
    scaled = w * factors
    fitted = fit(scaled, grid, min(block or w.shape[1], w.shape[1]))
    spread, zero = fitted.spread(w.shape[1])
    return np.asarray(spread * (grid.codes(scaled, spread, zero) - zero) / factors)


def _weighed(e: Array, hessian: Array) -> float:
    """tr(E H Eᵀ)"""
    return float(((e @ hessian) * e).sum(dtype=np.float64))


def _some_rows(w: Array) -> Array:
    return w[:: max(1, -(-w.size // MAX_SEARCHED))]


def _relative(error: float, signal: float) -> float:
    return float(np.sqrt(max(error, 0.0) / signal)) if signal > 0 else 0.0
