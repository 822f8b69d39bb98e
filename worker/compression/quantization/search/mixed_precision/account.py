"""What `mixed_precision` says of its budget and of each layer."""

from collections.abc import Mapping
from typing import Any, Final

from winnow.contract.recipe import MixedPrecision
from winnow.contract.report import RequirementResult
from worker.compression.measure.timing.interleaved import MEASURED_ANEW_NOTE
from worker.compression.quantization.search.mixed_precision.bit_allocation import FLOAT
from worker.compression.quantization.search.mixed_precision.layer_costs import LayerCosts
from worker.compression.quantization.search.output_error import OutputQuality
from worker.compression.steps.context import StepResult

UNTOLD: Final = (
    "No time could be told, because other programs used the CPUs: layers were chosen as if time went by the bytes of "
    "weights. Run the job again while nothing else runs."
)
ESTIMATED: Final = f"A step's speed-up is estimated from its layers' own times; {MEASURED_ANEW_NOTE}."
FOR_OTHERS: Final = "stays float: others cost less for the budget"


def requirement_result(
    step: MixedPrecision, speedup: float | None, ratio: float, quality: OutputQuality
) -> RequirementResult:
    wanted: float
    measured: float | None
    if step.max_size_ratio is not None:
        name, wanted, measured = "max_size_ratio", step.max_size_ratio, ratio
    elif step.min_speedup is not None:
        name, wanted, measured = "min_speedup", step.min_speedup, speedup
    else:
        assert step.min_snr_db is not None
        name, wanted, measured = "min_snr_db", step.min_snr_db, quality.snr_db
    if measured is None:
        return RequirementResult(
            name=f"mixed_precision.{name}", asked=wanted, measured=None, interval=None, met=False, why=UNTOLD
        )
    met = measured <= wanted if name == "max_size_ratio" else measured >= wanted
    why = f"With all layers in the bits that help most, {name} is {measured:.3f}, and {wanted:g} was asked."
    if name == "min_speedup":
        why += f" {ESTIMATED}"
    return RequirementResult(
        name=f"mixed_precision.{name}",
        asked=wanted,
        measured=measured,
        interval=None,
        met=met,
        why=None if met else why,
    )


def layer_rows(result: StepResult, costs: LayerCosts, chosen: Mapping[str, int]) -> list[dict[str, Any]]:
    rows = []
    for row in result.details["layers"]:
        name = row["name"]
        bits = chosen.get(name, FLOAT)
        known = name in costs.bytes
        rows.append(
            row
            | {
                "quantized": bits != FLOAT,
                "reason": None if bits != FLOAT else row["reason"] or FOR_OTHERS,
                "bits": bits,
                "bytes": costs.bytes[name] * bits // FLOAT if known else None,
                "cost": {str(b): cost for b, cost in costs.costs.get(name, {}).items()},
                "snr_db": {str(b): round(db, 2) for b, db in costs.snr_db.get(name, {}).items()},
                "ms": {str(b): round(t, 4) for b, t in costs.times.get(name, {}).items()},
            }
        )
    return rows
