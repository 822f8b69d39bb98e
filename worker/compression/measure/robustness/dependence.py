"""How far the outputs of one model are apart that was run in two ways, by the output that is worst."""

from collections.abc import Sequence
from typing import Final

from winnow.contract.report import Parity
from winnow.contract.robustness import Dependence
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.parity import OutputDifference

ROUNDING: Final = 1e-3
"""Of an output's largest number: sums in another order differ by less."""


class NotMeasured(Exception):
    """Why a fact is not measured, as a sentence."""


class OutputPairs:
    """Collects the outputs of samples, each run in two ways. Outputs whose shapes differ, or that are empty, are left
    out."""

    def __init__(self, names: Sequence[str]) -> None:
        self._differences = [OutputDifference(name) for name in names]

    def add(self, first: Sequence[Array], second: Sequence[Array]) -> None:
        """Add one sample: outputs in the order of the names."""
        for difference, x, y in zip(self._differences, first, second, strict=True):
            difference.add(x, y, 1)

    def worst(self) -> Parity:
        """The output with the largest relative error. Raises `NotMeasured` where nothing could be compared."""
        compared = [it for it in self._differences if it.elements and it.other_shape is None]
        if not compared:
            raise NotMeasured("No output has one shape both ways.")
        return max((it.result(1, "random") for it in compared), key=lambda it: it.max_relative_error or 0.0)


def dependence(worst: Parity, depends: bool | None = None) -> Dependence:
    """`depends`: where it is known otherwise than by the size of the difference."""
    error = worst.max_relative_error
    return Dependence(
        depends=(error or 0.0) > ROUNDING if depends is None else depends,
        snr_db=worst.snr_db,
        max_relative_error=error,
    )


def apart(dependence: Dependence) -> str:
    """Say how far, as a clause."""
    if not dependence.max_relative_error:
        return "not at all"
    if dependence.snr_db is None:
        return f"by {dependence.max_relative_error:.1g} of their largest number"
    return f"at {dependence.snr_db:.0f} dB"
