"""`mixed_precision`: float, 8 or 4 bits for each layer, for a budget of size, latency or noise.

    measured   cost of a layer at b bits: the noise it alone brings to the outputs, Σ (y − y_l)² / Σ y²
    hessian    Ω = Tr(H) / n · ‖Q(W) − W‖²                                       (HAWQ-V2, see `hessian_trace`)

Gains are bytes of weights, or milliseconds by the profile of float, 8-bit and 4-bit kernels. `bit_allocation` orders
the moves; how many are made follows from the budget, and for `min_snr_db` from measuring the whole model.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import Int8Static, MixedPrecision
from winnow.contract.report import RequirementResult
from worker.compression.ir.affine import round_to_nearest
from worker.compression.layers.batchnorm import untie_batchnorms
from worker.compression.measure.timing.interleaved import ANEW
from worker.compression.measure.timing.quiet import Patience
from worker.compression.quantization.int8_static import calibrated, prepared
from worker.compression.quantization.integer.hardware import FOUR_BITS
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.bit_allocation import (
    FLOAT,
    Choice,
    Move,
    bits_after,
    count_needed,
    order_moves,
)
from worker.compression.quantization.search.layer_profile import layer_times, profile
from worker.compression.quantization.search.output_error import OutputComparer, OutputQuality
from worker.compression.quantization.search.sensitivity import measure_sensitivities
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import changed, refuse_quantized
from worker.compression.steps.opset import raised

OPSET = 21
"""The first opset with 4-bit integers."""
WANTED = "Conv, Gemm or MatMul with a float32 weight"
BITS = (8, 4)
ALONE, JUDGED, PROBED = 8, 64, 32
"""Samples at most: for single layers, for the whole model, for the Hessian."""


@dataclass(frozen=True)
class Facts:
    """By layer: its bytes in float, and by bits costs, milliseconds, and SNRs where they were measured. `total_ms`: of
    the whole model, None where the machine was too busy to tell, and no layer has a time then. `total_bytes` are those
    of the file."""

    bytes: dict[str, int]
    costs: dict[str, dict[int, float]]
    times: dict[str, dict[int, float]]
    snr_db: dict[str, dict[int, float]]
    total_ms: float | None
    total_bytes: int


def mixed_precision(model: ir.Model, step: MixedPrecision, context: Context) -> StepResult:
    """Raises `already_quantized`, `nothing_to_quantize`, `not_finite`, `missing_data`, `step_failed`."""
    refuse_quantized(model)
    if context.calibration is None or not len(context.calibration):
        raise Refusal("missing_data", "mixed_precision needs calibration data.", field="data.calibration")
    original = model
    model, notes = raised(model, OPSET, "a weight of 4 bits")
    samples = context.calibration.draw(step.samples, context.seed)
    settings = Int8Static.model_validate(
        {"kind": "int8_static", "exclude": step.patterns, "calibration": "mse"}
    )
    static, more, _ = prepared(model, settings, samples)
    static.embeddings = False  # the budget is spent on layers alone
    answer = changed(static.model, static.selection().layers, WANTED, [*notes, *more])
    calibrated(static, settings, lambda share: context.progress.advance(0.2 * share))
    answer.notes.extend(static.unvarying())
    judge = OutputComparer(
        static.model, samples.draw(JUDGED, context.seed), context.scratch, context.evaluation
    )
    total_bytes = context.file_bytes(original)
    facts = _facts(
        static, step, judge, total_bytes, context, lambda share: context.progress.advance(0.2 + 0.7 * share)
    )
    ordered = order_moves(_choices(facts, step))
    count = _count(ordered, facts, step, lambda taken: _quantized(static, taken), judge, context.file_bytes)
    chosen, made = bits_after(ordered[:count]), _quantized(static, ordered[:count])
    ratio, speedup = context.file_bytes(made) / facts.total_bytes, _speedup(facts, chosen)
    if ratio >= 1 and (step.min_speedup is None or speedup is None or speedup <= 1):
        chosen, made, ratio = {}, original, 1.0  # neither smaller nor faster: the float model is better
        speedup = _speedup(facts, chosen)
    judged = judge(made)
    target = _target(step, speedup, ratio, judged)
    details = {
        "sensitivity_by": step.sensitivity,
        "samples": len(samples),
        "seed": context.seed,
        "found_on_calibration_data": judged.as_report(),
        "estimated_speedup": None if speedup is None else round(speedup, 3),
        "size_ratio": round(ratio, 4),
        "layers": _rows(answer, facts, chosen),
    }
    if step.min_speedup is not None:
        estimate = f"Estimated to be {speedup:.2f}× as fast. {ESTIMATED}" if speedup is not None else UNTOLD
        answer.notes.append(estimate)
    if not chosen:
        told = "The float model is the best that was tried: nothing was quantized."
        return StepResult(original, 0, answer.candidates, [told], details, [target])
    return replace(answer, model=made, changed=len(chosen), details=details, targets=[target])


def _facts(
    static: Static,
    step: MixedPrecision,
    judge: OutputComparer,
    total_bytes: int,
    context: Context,
    told: Callable[[float], None],
) -> Facts:
    nodes = {str(node.name): node for node in static.selection().weighted}
    feed = next(static.samples.take(1).batches(1))
    limits = {8: static.weights.limit, 4: FOUR_BITS}
    patience = Patience(context.progress)
    whole = {b: static.quantized(limits=dict.fromkeys(nodes, limits[b])) for b in BITS}
    graphs = {**whole, FLOAT: static.model}
    times = {b: layer_times(graph, feed, nodes, context.scratch, patience) for b, graph in graphs.items()}
    total_ms = sum(profile(static.model, feed, context.scratch, patience).values()) or None
    told_all = total_ms is not None and all(times.values())
    size = {name: int(node.inputs[1].const_value.nbytes) for name, node in nodes.items()}  # type: ignore[union-attr]
    costs, snr = (
        _measured(static, judge, limits, size, told)
        if step.sensitivity == "measured"
        else (_by_hessian(static, limits, context, told), {})
    )
    return Facts(
        bytes=size,
        costs=costs,
        times={name: {b: t[name] for b, t in times.items() if told_all and name in t} for name in nodes},
        snr_db=snr,
        total_ms=total_ms if told_all else None,
        total_bytes=total_bytes,
    )


def _measured(
    static: Static,
    judge: OutputComparer,
    limits: Mapping[int, int],
    size: Mapping[str, int],
    told: Callable[[float], None],
) -> tuple[dict[str, dict[int, float]], dict[str, dict[int, float]]]:
    """Noise shares and SNRs by layer and bits."""
    snr: dict[str, dict[int, float]] = {name: {} for name in size}
    for part, bits in enumerate(BITS):
        found = measure_sensitivities(
            static,
            judge,
            {},
            lambda share, part=part: told((part + share) / len(BITS)),  # type: ignore[misc]
            samples=ALONE,
            limit=limits[bits],
        )
        for one in found:
            snr[one.name][bits] = one.judged.snr_db
    costs = {name: {b: 10 ** (-db / 10) for b, db in by_bits.items()} for name, by_bits in snr.items()}
    return costs, snr


def _by_hessian(
    static: Static, limits: Mapping[int, int], context: Context, told: Callable[[float], None]
) -> dict[str, dict[int, float]]:
    """Ω by layer and bits; layers that share their weight have none, and stay float."""
    from worker.compression.quantization.search.hessian_trace import hessian_traces

    layers, model = static.layers(), static.model.clone()
    untie_batchnorms(model)
    found = hessian_traces(model, layers, static.samples.take(PROBED), context.seed, told)
    return {
        layer.name: {b: found[layer.name] * _moved(layer.matrix(), limits[b]) for b in BITS}
        for layer in layers
    }


def _moved(matrix: np.ndarray, limit: int) -> float:
    return float(((round_to_nearest(matrix, limit) - matrix).astype(np.float64) ** 2).sum())


def _choices(facts: Facts, step: MixedPrecision) -> dict[str, list[Choice]]:
    return {
        name: [Choice(b, cost, _gain(facts, step, name, b)) for b, cost in by_bits.items()]
        for name, by_bits in facts.costs.items()
    }


def _gain(facts: Facts, step: MixedPrecision, name: str, bits: int) -> float:
    if step.min_speedup is None or facts.total_ms is None:
        return facts.bytes[name] * (FLOAT - bits) / FLOAT
    times = facts.times[name]
    return times[FLOAT] - times[bits] if FLOAT in times and bits in times else 0.0


def _count(
    ordered: list[Move],
    facts: Facts,
    step: MixedPrecision,
    made: Callable[[list[Move]], ir.Model],
    judge: OutputComparer,
    file_bytes: Callable[[ir.Model], int],
) -> int:
    """How many moves are made: all when the budget cannot be reached."""
    if step.min_snr_db is not None:
        least = step.min_snr_db
        return _last(len(ordered), lambda count: judge(made(ordered[:count])).snr_db >= least)
    if step.min_speedup is not None:
        whole = sum(facts.bytes.values()) if facts.total_ms is None else facts.total_ms
        count = count_needed(ordered, whole * (1 - 1 / step.min_speedup))
        return len(ordered) if count is None else count
    most = math.floor((step.max_size_ratio or 1) * facts.total_bytes)
    needed: float = facts.total_bytes - most
    while (count := count_needed(ordered, needed)) is not None:
        over = file_bytes(made(ordered[:count])) - most
        if over <= 0:
            return count
        needed = sum(move.gain for move in ordered[:count]) + over  # scales and nodes take bytes too
    return len(ordered)


def _last(most: int, holds: Callable[[int], bool]) -> int:
    """The largest count that holds, by halving; 0 where none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def _quantized(static: Static, taken: list[Move]) -> ir.Model:
    chosen = bits_after(taken)
    left = {
        str(node.name): "stays float: others cost less for the budget"
        for node in static.selection().weighted
        if node.name not in chosen
    }
    limits = {name: FOUR_BITS for name, bits in chosen.items() if bits == 4}
    return static.quantized(left, limits=limits)


ESTIMATED: Final = f"A step's speed-up is estimated from its layers' own times; {ANEW}."


UNTOLD: Final = (
    "No time could be told, because other programs used the CPUs: layers were chosen as if time went by the bytes of "
    "weights. Run the job again while nothing else runs."
)


def _speedup(facts: Facts, chosen: Mapping[str, int]) -> float | None:
    """None where no time could be told."""
    if facts.total_ms is None:
        return None
    gains = [
        facts.times[name][FLOAT] - facts.times[name][bits]
        for name, bits in chosen.items()
        if {FLOAT, bits} <= facts.times[name].keys()
    ]
    return facts.total_ms / max(facts.total_ms - sum(gains), 1e-9)


def _target(
    step: MixedPrecision, speedup: float | None, ratio: float, judged: OutputQuality
) -> RequirementResult:
    found: float | None
    if step.max_size_ratio is not None:
        name, asked, found = "max_size_ratio", step.max_size_ratio, ratio
    elif step.min_speedup is not None:
        name, asked, found = "min_speedup", step.min_speedup, speedup
    else:
        assert step.min_snr_db is not None
        name, asked, found = "min_snr_db", step.min_snr_db, judged.snr_db
    if found is None:
        return RequirementResult(
            name=f"mixed_precision.{name}", asked=asked, measured=None, interval=None, met=False, why=UNTOLD
        )
    met = found <= asked if name == "max_size_ratio" else found >= asked
    why = f"With all layers in the bits that help most, {name} is {found:.3f}, and {asked:g} was asked."
    if name == "min_speedup":
        why += f" {ESTIMATED}"
    return RequirementResult(
        name=f"mixed_precision.{name}",
        asked=asked,
        measured=found,
        interval=None,
        met=met,
        why=None if met else why,
    )


def _rows(answer: StepResult, facts: Facts, chosen: Mapping[str, int]) -> list[dict[str, Any]]:
    rows = []
    for row in answer.details["layers"]:
        name = row["name"]
        bits = chosen.get(name, FLOAT)
        known = name in facts.bytes
        rows.append(
            row
            | {
                "quantized": bits != FLOAT,
                "reason": None
                if bits != FLOAT
                else row["reason"] or "stays float: others cost less for the budget",
                "bits": bits,
                "bytes": facts.bytes[name] * bits // FLOAT if known else None,
                "cost": {str(b): cost for b, cost in facts.costs.get(name, {}).items()},
                "snr_db": {str(b): round(db, 2) for b, db in facts.snr_db.get(name, {}).items()},
                "ms": {str(b): round(t, 4) for b, t in facts.times.get(name, {}).items()},
            }
        )
    return rows
