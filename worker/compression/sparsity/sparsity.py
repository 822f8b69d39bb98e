"""`sparsity`: weights set to zero, one by one or in a pattern, and with `hessian` the rest made up for them.

    magnitude   w²
    wanda       w² · Σ x²                                  (Sun et al. 2023, arXiv:2306.11695)
    taylor      (w · ∂y/∂w)²                               (Molchanov et al. 2019, arXiv:1906.10771)
    hessian     see `sparsegpt`                            (SparseGPT, arXiv:2301.00774)

The weights of one layer compete with each other; how many zeros a layer gets is decided before (`zero_allocation`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from winnow.contract.recipe import Sparsity
from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array
from worker.compression.ir.mapped_tensors import MappedTensors, let_go, spill_for
from worker.compression.ir.values import array_of, tensor_of
from worker.compression.layers import zero_allocation
from worker.compression.layers.batchnorm import untie_batchnorms
from worker.compression.layers.input_moments import UNSEEN, Moments
from worker.compression.layers.linear import Linear
from worker.compression.layers.sparsity_pattern import Structure, pattern_order
from worker.compression.sparsity.by_magnitude import sparsify_by_magnitude
from worker.compression.sparsity.eligibility import SHOWN, SparsityLayers, sparsity_layers
from worker.compression.sparsity.layer_moments import MAX_HESSIAN_INPUTS, each_with_moments, is_wide
from worker.compression.sparsity.sparsegpt import output_error, sparsegpt
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import zeros_targets
from worker.compression.weight_storage.sparse_layers import remember_sparse


def sparsity(model: ir.Model, step: Sparsity, context: Context) -> StepResult:
    """Set weights to zero, in place.

    Raises `Refusal` `does_not_divide`, `nothing_to_compress`, `missing_data`, `not_finite`, `model_does_not_run`,
    `unsupported_operator`.
    """
    layers = sparsity_layers(model, step)
    structure = Structure.named(step.structure, step.block)
    samples = _samples(step, context)
    gradient_scores = _gradient_scores(model, layers.taken, step, samples)
    wanted = _wanted_zeros(model, layers.taken, structure, step, gradient_scores, samples)
    counts = [min(count, structure.max_zeros(x.shape)) for x, count in zip(layers.taken, wanted, strict=True)]
    rows, spill = [], spill_for(model, context.scratch)
    for number, (layer, sums) in enumerate(_with_moments(model, layers.taken, step, samples, context)):
        if step.criterion == "magnitude" and structure.unit == 1:
            rows.append(_by_magnitude(layer, structure, counts[number], spill))
        else:
            rows.append(_sparsify(layer, sums, gradient_scores, structure, step, counts[number], spill))
        if sums is None:
            context.progress.advance((number + 1) / len(layers.taken))
    remember_sparse(model, (reader.name for layer in layers.taken for reader in layer.readers))
    return StepResult(
        model,
        len(rows),
        len(rows) + len(layers.skipped),
        _notes(step, layers, rows),
        _details(step, rows, layers, samples),
        zeros_targets("sparsity", counts, wanted, [int(np.prod(x.shape)) for x in layers.taken]),
    )


def _samples(step: Sparsity, context: Context) -> Samples | None:
    return context.draw_calibration(step.criterion, step.samples) if step.required else None


def _gradient_scores(
    model: ir.Model, layers: Sequence[Linear], step: Sparsity, samples: Samples | None
) -> dict[str, Array]:
    """Score weights by gradients, by layer, for `taylor`; the other criteria follow from a layer's own weights and
    moments."""
    if step.criterion != "taylor" or samples is None:
        return {}
    from worker.compression.sparsity.taylor import taylor  # needs torch

    untie_batchnorms(model)
    return taylor(model, layers, samples)


def _scores(layer: Linear, sums: Moments | None, gradient_scores: dict[str, Array], step: Sparsity) -> Array:
    """Score each weight, [groups, out, in] in the matrix's own order; one that is zero already lower than any."""
    weight = layer.matrix().astype(np.float64)
    scores = gradient_scores.get(layer.name, weight**2)
    if step.criterion in ("wanda", "hessian") and sums is not None:
        scores = weight**2 * sums.squares[:, None, :] / max(1, sums.rows)
    return np.where(weight == 0, -1.0, scores)


def _wanted_zeros(
    model: ir.Model,
    layers: Sequence[Linear],
    structure: Structure,
    step: Sparsity,
    gradient_scores: dict[str, Array],
    samples: Samples | None,
) -> list[int]:
    """Decide how many weights of each layer are to be zero."""
    sizes = [int(np.prod(layer.shape)) for layer in layers]
    if structure.m:
        return [structure.max_zeros(layer.shape) for layer in layers]
    match step.distribution:
        case "uniform":
            zeros = zero_allocation.uniform(sizes, step.zeros)
        case "erdos_renyi":
            zeros = zero_allocation.erdos_renyi([layer.dims for layer in layers], step.zeros)
        case "sensitivity":
            assert samples is not None
            curves = [
                _error_curve(layer, sums, gradient_scores, structure, step)
                for layer, sums in each_with_moments(model, layers, samples, lambda _: None)
            ]
            zeros = zero_allocation.by_error(curves, sizes, step.zeros)
    if step.distribution != "uniform":
        zeros = zero_allocation.with_floor(zeros, list(map(_zeros_of, layers)))
    return zero_allocation.whole_units(zeros, structure.unit)


def _zeros_of(layer: Linear) -> int:
    weight = array_of(layer.weight)
    return weight.size - int(np.count_nonzero(weight))


def _error_curve(
    layer: Linear,
    sums: Moments | None,
    gradient_scores: dict[str, Array],
    structure: Structure,
    step: Sparsity,
) -> zero_allocation.Curve:
    """Measure how much of the output's energy is lost at each share of zeros, nothing made up for; of the weight's
    where no moments are known."""
    order, weight = pattern_order(layer), layer.matrix().astype(np.float64)
    scores = _scores(layer, sums, gradient_scores, step)[:, :, order]
    hessian = None if sums is None else sums.hessian[:, order][:, :, order]
    weight = weight[:, :, order]
    energy = output_error(weight, np.zeros_like(weight), hessian) or 1.0
    curve, size = [], weight.size
    for share in zero_allocation.curve_shares(step.zeros):
        count = min(round(share * size), structure.max_zeros(weight.shape))
        masked = np.where(structure.weakest(scores, count), 0.0, weight)
        curve.append((share, output_error(weight, masked, hessian) / energy))
    return curve


def _with_moments(
    model: ir.Model, layers: Sequence[Linear], step: Sparsity, samples: Samples | None, context: Context
) -> Iterator[tuple[Linear, Moments | None]]:
    """Go through the layers, each with the moments of its input where the criterion asks for them."""
    if step.criterion in ("wanda", "hessian") and samples is not None:
        return each_with_moments(model, layers, samples, context.progress.advance, context.shared)
    return ((layer, None) for layer in layers)


def _by_magnitude(
    layer: Linear, structure: Structure, count: int, spill: MappedTensors | None
) -> dict[str, Any]:
    """Set the layer's zeros where nothing but its own weights tells which; returns its row of the report."""
    before = tensor_of(layer.weight)
    zeros = sparsify_by_magnitude(layer, structure, count, spill)
    let_go(before)
    return _row(layer, zeros.before, zeros.after)


def _row(layer: Linear, before: int, after: int) -> dict[str, Any]:
    row = {
        "name": layer.name,
        "op": layer.node.op_type,
        "weights": int(np.prod(layer.shape)),
        "zeros_before": before,
        "zeros": after,
    }
    return row | ({"twins": [twin.name for twin in layer.twins]} if layer.twins else {})


def _sparsify(
    layer: Linear,
    sums: Moments | None,
    gradient_scores: dict[str, Array],
    structure: Structure,
    step: Sparsity,
    count: int,
    spill: MappedTensors | None,
) -> dict[str, Any]:
    """Set the layer's zeros; returns its row of the report."""
    order, weight = pattern_order(layer), layer.matrix()
    before, hessian = int((weight == 0).sum()), None
    ordered = weight[:, :, order].astype(np.float64)
    if sums is not None:
        hessian = sums.hessian[:, order][:, :, order] / max(1, sums.rows)
    if step.criterion == "hessian" and hessian is not None:
        sparse = sparsegpt(ordered, hessian, structure, count)
    else:
        scores = _scores(layer, sums, gradient_scores, step)[:, :, order]
        sparse = np.where(structure.weakest(scores, count), 0.0, ordered)
    result = np.zeros_like(weight)
    result[:, :, order] = sparse
    layer.put(result, spill)
    row = _row(layer, before, int((result == 0).sum()))
    if hessian is not None:
        energy = output_error(ordered, np.zeros_like(ordered), hessian)
        row["output_error"] = output_error(ordered, sparse, hessian) / energy if energy > 0 else 0.0
    return row


def _notes(step: Sparsity, layers: SparsityLayers, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = []
    unfit = [f"{layer.name} ({why})" for layer, why in layers.skipped]
    if unfit:
        notes.append(f"Skipped, {step.structure} does not fit {len(unfit)}: {_listed(unfit)}.")
    if step.criterion not in ("wanda", "hessian"):
        return notes
    wide = [layer.name for layer in layers.taken if is_wide(layer)]
    unseen = [row["name"] for row in rows if "output_error" not in row and row["name"] not in wide]
    if unseen:
        notes.append(f"Judged by magnitude, as {UNSEEN}: {_listed(unseen)}.")
    if wide:
        notes.append(
            f"Judged by magnitude: {', '.join(wide[:SHOWN])}, with more than {MAX_HESSIAN_INPUTS} inputs, whose "
            "moments do not fit into memory."
        )
    return notes


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def _details(
    step: Sparsity, rows: list[dict[str, Any]], layers: SparsityLayers, samples: Samples | None
) -> dict[str, Any]:
    weights, zeros = (sum(row[key] for row in rows) for key in ("weights", "zeros"))
    return {
        "structure": step.structure,
        "criterion": step.criterion,
        "distribution": step.distribution,
        "samples": 0 if samples is None else len(samples),
        "weights": weights,
        "zeros": zeros,
        "share": zeros / weights,
        "layers": rows,
        "skipped": [{"name": layer.name, "reason": why} for layer, why in layers.skipped],
    }
