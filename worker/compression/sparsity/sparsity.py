"""`sparsity`: weights set to zero, one by one or in a pattern, and with `hessian` the rest made up for them.

    magnitude   w²
    wanda       w² · Σ x²                                  (Sun et al. 2023, arXiv:2306.11695)
    taylor      (w · ∂y/∂w)²                               (Molchanov et al. 2019, arXiv:1906.10771)
    hessian     layerwise/hessian.py                       (SparseGPT, arXiv:2301.00774)

The weights of one layer compete with each other; how many zeros a layer gets is decided before (layerwise/spread.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.glob import matches_any
from winnow.contract.recipe import Sparsity
from worker.compression.data.samples import Samples
from worker.compression.layers import zero_allocation
from worker.compression.layers.batchnorm import untie_batchnorms
from worker.compression.layers.input_moments import Moments, moments
from worker.compression.layers.linear import Linear, by_weight
from worker.compression.layers.sparsity_pattern import Structure, in_order
from worker.compression.runtime.observe import Array
from worker.compression.sparsity.sparsegpt import output_error, with_zeros
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import left_inside
from worker.compression.steps.targets import zeros_targets
from worker.compression.weight_storage.sparse_layers import remember_sparse

WIDEST: Final = 8192
"""Inputs of a layer whose second moments fit into memory, several times over."""
SHOWN: Final = 8


@dataclass(frozen=True)
class Layers:
    """The layers that are changed, and those that are not, with the reason."""

    taken: list[Linear]
    skipped: list[tuple[Linear, str]]


def sparsity(model: ir.Model, step: Sparsity, context: Context) -> StepResult:
    """Raises `Refusal` `does_not_divide`, `nothing_to_compress`, `missing_data`, `not_finite`, `model_does_not_run`,
    `unsupported_operator`."""
    layers = layers_of(model, step)
    structure = Structure.named(step.structure, step.block)
    samples = _samples(step, context)
    scores = _scores(model, layers.taken, step, samples)
    wanted = _wanted(model, layers.taken, structure, step, scores, samples)
    counts = [min(count, structure.most(x.shape)) for x, count in zip(layers.taken, wanted, strict=True)]
    rows = []
    for number, (layer, sums) in enumerate(_measured(model, layers.taken, step, samples, context)):
        rows.append(_cut(layer, sums, scores, structure, step, counts[number]))
        if sums is None:
            context.progress.advance((number + 1) / len(layers.taken))
    remember_sparse(model, (reader.name for layer in layers.taken for reader in layer.readers))
    return StepResult(
        model,
        len(rows),
        len(rows) + len(layers.skipped),
        _notes(step, layers),
        _details(step, rows, layers, samples),
        zeros_targets("sparsity", counts, wanted, [int(np.prod(x.shape)) for x in layers.taken]),
    )


def layers_of(model: ir.Model, step: Sparsity) -> Layers:
    """Raises `does_not_divide` for a layer that is named and has sizes that the structure does not divide, and
    `nothing_to_compress`."""
    structure = Structure.named(step.structure, step.block)
    layers = Layers([], [])
    for layer in by_weight(model):
        names = [reader.name for reader in layer.readers]
        if layer.excluded(step.exclude) or (
            step.layers and not any(matches_any(name, step.layers) for name in names)
        ):
            continue
        why = structure.why_not(layer)
        if why is not None and set(names) & set(step.layers):
            raise Refusal(
                "does_not_divide",
                f"{layer.name!r} is named, and its weight has {why}, as {step.structure} asks. Leave it out, or "
                "choose another structure.",
                field="recipe.steps",
                layer=layer.name,
            )
        if why is None:
            layers.taken.append(layer)
        else:
            layers.skipped.append((layer, why))
    if not layers.taken:
        raise Refusal("nothing_to_compress", _why_none(model, layers))
    return layers


def _why_none(model: ir.Model, layers: Layers) -> str:
    if not layers.skipped:
        return (
            "The model has no Conv, Gemm or MatMul with a constant float32 weight that is not left out"
            f"{left_inside(model)}."
        )
    listed = ", ".join(f"{layer.name!r}: {why}" for layer, why in layers.skipped[:SHOWN])
    return f"No layer has sizes that the structure divides ({listed}). Choose another structure."


def _samples(step: Sparsity, context: Context) -> Samples | None:
    if not step.required:
        return None
    if context.calibration is None:
        raise Refusal("missing_data", f"{step.criterion} needs calibration data.", field="data.calibration")
    return context.calibration.draw(step.samples, context.seed)


def _scores(
    model: ir.Model, layers: Sequence[Linear], step: Sparsity, samples: Samples | None
) -> dict[str, Array]:
    """What gradients say, by layer; the other criteria follow from a layer's own weights and moments."""
    if step.criterion != "taylor" or samples is None:
        return {}
    from worker.compression.sparsity.taylor import taylor  # torch

    untie_batchnorms(model)
    return taylor(model, layers, samples)


def _scored(layer: Linear, sums: Moments | None, scores: dict[str, Array], step: Sparsity) -> Array:
    """[groups, out, in], in the matrix's own order; of zeros that are there already less than any."""
    weight = layer.matrix().astype(np.float64)
    found = scores.get(layer.name, weight**2)
    if step.criterion in ("wanda", "hessian") and sums is not None:
        found = weight**2 * sums.squares[:, None, :] / max(1, sums.rows)
    return np.where(weight == 0, -1.0, found)


def _wanted(
    model: ir.Model,
    layers: Sequence[Linear],
    structure: Structure,
    step: Sparsity,
    scores: dict[str, Array],
    samples: Samples | None,
) -> list[int]:
    """How many weights of each layer are to be zero."""
    sizes = [int(np.prod(layer.shape)) for layer in layers]
    if structure.of:
        return [structure.most(layer.shape) for layer in layers]
    match step.distribution:
        case "uniform":
            zeros = zero_allocation.uniform(sizes, step.zeros)
        case "erdos_renyi":
            zeros = zero_allocation.erdos_renyi([layer.dims for layer in layers], step.zeros)
        case "sensitivity":
            assert samples is not None
            curves = [
                _curve(layer, sums, scores, structure, step)
                for layer, sums in moments(model, layers, samples, lambda _: None)
            ]
            zeros = zero_allocation.by_error(curves, sizes, step.zeros)
    if step.distribution != "uniform":
        zeros = zero_allocation.with_zeros_there(
            zeros, [int((layer.matrix() == 0).sum()) for layer in layers]
        )
    return zero_allocation.whole(zeros, structure.unit)


def _curve(
    layer: Linear, sums: Moments, scores: dict[str, Array], structure: Structure, step: Sparsity
) -> zero_allocation.Curve:
    """How much of the output's energy is lost at each share of zeros, nothing made up for."""
    order, weight = in_order(layer), layer.matrix().astype(np.float64)
    scored = _scored(layer, sums, scores, step)[:, :, order]
    second = sums.second[:, order][:, :, order]
    weight = weight[:, :, order]
    energy = output_error(weight, np.zeros_like(weight), second) or 1.0
    curve, size = [], weight.size
    for share in zero_allocation.grid(step.zeros):
        count = min(round(share * size), structure.most(weight.shape))
        masked = np.where(structure.weakest(scored, count), 0.0, weight)
        curve.append((share, output_error(weight, masked, second) / energy))
    return curve


def _measured(
    model: ir.Model, layers: Sequence[Linear], step: Sparsity, samples: Samples | None, context: Context
) -> Iterator[tuple[Linear, Moments | None]]:
    """Each layer with the moments of its input where the criterion asks for them and they can be held."""
    narrow = [layer for layer in layers if layer.shape[2] <= WIDEST]
    if samples is None or step.criterion not in ("wanda", "hessian"):
        narrow = []
    told = context.progress.advance
    found = iter(moments(model, narrow, samples, told)) if narrow and samples is not None else None
    for layer in layers:
        yield next(found) if found is not None and layer in narrow else (layer, None)


def _cut(
    layer: Linear,
    sums: Moments | None,
    scores: dict[str, Array],
    structure: Structure,
    step: Sparsity,
    count: int,
) -> dict[str, Any]:
    """Set the layer's zeros; what the report says of it."""
    order, weight = in_order(layer), layer.matrix()
    before, second = int((weight == 0).sum()), None
    ordered = weight[:, :, order].astype(np.float64)
    if sums is not None:
        second = sums.second[:, order][:, :, order] / max(1, sums.rows)
    if step.criterion == "hessian" and second is not None:
        cut = with_zeros(ordered, second, structure, count)
    else:
        scored = _scored(layer, sums, scores, step)[:, :, order]
        cut = np.where(structure.weakest(scored, count), 0.0, ordered)
    result = np.zeros_like(weight)
    result[:, :, order] = cut
    layer.put(result)
    row = {
        "name": layer.name,
        "op": layer.node.op_type,
        "weights": weight.size,
        "zeros_before": before,
        "zeros": int((result == 0).sum()),
    }
    if layer.twins:
        row["twins"] = [twin.name for twin in layer.twins]
    if second is not None:
        energy = output_error(ordered, np.zeros_like(ordered), second)
        row["output_error"] = output_error(ordered, cut, second) / energy if energy > 0 else 0.0
    return row


def _notes(step: Sparsity, layers: Layers) -> list[str]:
    notes = []
    if layers.skipped:
        listed = ", ".join(f"{layer.name} ({why})" for layer, why in layers.skipped[:SHOWN])
        more = ", …" if len(layers.skipped) > SHOWN else ""
        notes.append(f"Skipped, {step.structure} does not fit {len(layers.skipped)}: {listed}{more}.")
    wide = [layer.name for layer in layers.taken if layer.shape[2] > WIDEST]
    if wide and step.criterion in ("wanda", "hessian"):
        notes.append(
            f"Judged by magnitude: {', '.join(wide[:SHOWN])}, with more than {WIDEST} inputs, whose moments do not fit "
            "into memory."
        )
    return notes


def _details(
    step: Sparsity, rows: list[dict[str, Any]], layers: Layers, samples: Samples | None
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
