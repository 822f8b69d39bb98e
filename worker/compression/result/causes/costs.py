"""Causes of a result that is slower, larger or heavier than was asked."""

import platform
from collections import Counter
from typing import Final

from winnow.contract.recipe import (
    BFloat16,
    Binary,
    Float16,
    Int8,
    Int8Dynamic,
    Int8Static,
    MixedPrecision,
    Palette,
    Sparsity,
)
from winnow.contract.report import LayerReport, RequirementResult
from worker.compression.quantization.integer.hardware import multiplies_exactly
from worker.compression.result.causes.evidence import Evidence
from worker.compression.result.causes.shared import rows_of

MOST: Final = 0.5
TINY_MS: Final = 0.05
"""Below it, calling the runtime is a large part of a run."""
SHOWN: Final = 3
CPU_PROVIDER: Final = "CPUExecutionProvider"


def float_arithmetic(_: RequirementResult, evidence: Evidence) -> str | None:
    """All that changed the model stores it differently, and computes as before."""
    on_cpu = bool(evidence.report.latency) and evidence.report.latency[0].provider == CPU_PROVIDER
    stored = [
        isinstance(step, BFloat16 | Binary | Palette | Sparsity)
        or (isinstance(step, Int8Static) and step.weight_bits == 4)
        or (isinstance(step, Float16) and on_cpu)
        for step, _ in evidence.changed
    ]
    if not all(stored):
        return None
    kinds = " and ".join(dict.fromkeys(report.kind for _, report in evidence.changed))
    return f"{kinds} make{'s' if len(stored) == 1 else ''} the file smaller: the runtime still computes in float32"


def layers_in_float(_: RequirementResult, evidence: Evidence) -> str | None:
    """Layers that the step which quantizes could not take."""
    for step, report in evidence.changed:
        rows = rows_of(report, "layers") if step.quantizes else []
        stayed = [row for row in rows if row.get("quantized") is False]
        if not stayed or 2 * len(stayed) < len(rows):
            continue
        reason, _count = Counter(str(row.get("reason")) for row in stayed).most_common(1)[0]
        return f"{len(stayed)} of {len(rows)} layers stayed float ({reason})"
    return None


def no_vnni(_: RequirementResult, evidence: Evidence) -> str | None:
    integers = any(
        isinstance(step, Int8 | Int8Static | Int8Dynamic | MixedPrecision) for step, _ in evidence.changed
    )
    flags = set(evidence.report.environment.cpu_flags)
    if not integers or multiplies_exactly(platform.machine(), flags):
        return None
    return "no VNNI on this CPU, which 8-bit integers need to be much faster than floats"


def untouched_operators(_: RequirementResult, evidence: Evidence) -> str | None:
    total = sum(evidence.untouched.values())
    if total < MOST:
        return None
    largest = sorted(evidence.untouched.items(), key=lambda item: -item[1])[:SHOWN]
    listed = ", ".join(f"{operator} {share:.0%}" for operator, share in largest)
    return f"{total:.0%} of the original's time is in operators that the recipe does not touch ({listed})"


def tiny_run(_: RequirementResult, evidence: Evidence) -> str | None:
    median = evidence.report.latency[0].candidate_ms.p50
    if median >= TINY_MS:
        return None
    return f"a run takes {1000 * median:.0f} µs, of which calling the runtime is a large part"


def work_that_remains(_: RequirementResult, evidence: Evidence) -> str | None:
    macs = evidence.report.macs
    if macs is None or macs.ratio is None:
        return None
    kinds = ", ".join(dict.fromkeys(report.kind for _, report in evidence.changed))
    return (
        f"{macs.ratio:.0%} of the multiply-accumulates are still computed, and {kinds} made them no cheaper"
    )


def little_gained(_: RequirementResult, evidence: Evidence) -> str | None:
    """What changed takes the share `c` of the original's time, and a run is `s` times as fast, hence what changed
    `c / (1 / s - (1 - c))` times (Amdahl 1967)."""
    speedup = evidence.report.latency[0].speedup
    if speedup is None or not evidence.changed:
        return None
    kinds = " and ".join(dict.fromkeys(report.kind for _, report in evidence.changed))
    unchanged = sum(evidence.untouched.values())
    remaining = 1 / speedup - unchanged
    if not evidence.untouched or remaining <= 0:
        return f"{kinds} made a run {speedup:.2f} times as fast, no more"
    return (
        f"what {kinds} changed is {1 - unchanged:.0%} of the original's time, and runs "
        f"{(1 - unchanged) / remaining:.2f} times as fast"
    )


def one_large_layer(_: RequirementResult, evidence: Evidence) -> str | None:
    """A layer that stayed as it was and is most of the file."""
    layers = evidence.untouched_layers
    if not layers:
        return None
    largest = max(layers, key=lambda layer: layer.size_bytes.after)
    share = largest.size_bytes.after / evidence.report.size_bytes.after
    if share < MOST:
        return None
    return f"layer {largest.name} ({largest.op}) stayed {largest.after_dtype} and is {share:.0%} of the file"


def file_without_weights(_: RequirementResult, evidence: Evidence) -> str | None:
    after = int(evidence.report.size_bytes.after)
    rest = after - _weights(evidence.report.layers)
    if rest < MOST * after:
        return None
    return f"{rest} of {after} bytes are no weights of layers, but nodes, names, scales and other constants"


def weights_are_the_file(_: RequirementResult, evidence: Evidence) -> str | None:
    layers = [layer for layer in evidence.report.layers if layer.size_bytes.after]
    if not layers:
        return None
    by_type = Counter[str]()
    for layer in layers:
        by_type[layer.after_dtype] += int(layer.size_bytes.after)
    listed = ", ".join(f"{size} bytes in {dtype}" for dtype, size in by_type.most_common(SHOWN))
    return f"the weights of its layers alone are {_weights(layers)} bytes ({listed})"


def memory_beyond_weights(_: RequirementResult, evidence: Evidence) -> str | None:
    measured = evidence.report.peak_rss_bytes
    if measured is None:
        return None
    peak, weights = int(measured.after), _weights(evidence.report.layers)
    if weights > MOST * peak:
        return None
    return f"{peak - weights} of {peak} bytes are activations and the runtime's own, not weights"


def _weights(layers: list[LayerReport]) -> int:
    return sum(int(layer.size_bytes.after) for layer in layers)
