"""Is there a layer that 8-bit integers can compute, told from the layer table?"""

from collections import Counter
from typing import Final

from app.admission.model_state import ModelState, lower_first
from winnow.contract.errors import Refusal
from winnow.contract.model import Layer
from winnow.contract.recipe import Int8, Int8Dynamic, Int8Static, MixedPrecision

TABLES: Final = frozenset({"Gather"})
STATIC: Final = frozenset({"Conv", "Gemm", "MatMul"}) | TABLES
DYNAMIC: Final = frozenset({"Gemm", "MatMul", "LSTM"}) | TABLES
KNOWN: Final = STATIC | DYNAMIC | {"ConvTranspose", "GRU", "RNN"}
"""What else has weights may be rewritten to these, which is known to the worker alone."""


Integers = Int8 | Int8Static | Int8Dynamic | MixedPrecision


def check_integers(
    index: int, step: Integers, state: ModelState, included: list[Layer], calibrated: bool
) -> None:
    """Raises `missing_data` where calibration data would give it layers, else `nothing_to_quantize`. `included` are the
    layers that no pattern excludes."""
    operators = Counter(layer.op for layer in included)
    eligible = _eligible(step, calibrated)
    if not included or operators.keys() - (KNOWN - eligible):
        return
    has = ", ".join(f"{count} × {op}" for op, count in operators.most_common(5))
    model, taken = lower_first(state.model), ", ".join(sorted(eligible))
    what = f"{step.kind} takes {taken}; of these {model} has none that is not left out"
    if isinstance(step, Int8) and not calibrated and STATIC & operators.keys():
        raise Refusal(
            "missing_data",
            f"Without calibration data {what} (it has {has}). These need calibration data: upload an .npz to "
            "/v1/datasets and name it in data.calibration.",
            field="data.calibration",
        )
    raise Refusal(
        "nothing_to_quantize",
        f"{what} (layers with weights: {has}). Leave the step out.",
        field=f"recipe.steps.{index}.kind",
    )


def _eligible(step: Integers, calibrated: bool) -> frozenset[str]:
    if isinstance(step, MixedPrecision):
        return STATIC - TABLES
    if isinstance(step, Int8Static):
        return STATIC
    return STATIC | DYNAMIC if calibrated and isinstance(step, Int8) else DYNAMIC
