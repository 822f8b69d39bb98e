"""The calibrations that static candidates of `int8` build on: by each method, and once more after smoothing where that
helps. Ranges are measured once for all methods."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from worker.compression.data.samples import Samples
from worker.compression.ir.edit import GraphEdit
from worker.compression.progress import Within
from worker.compression.quantization.calibration.histogram import Method
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.integer.static_preparation import StaticSettings, prepare
from worker.compression.quantization.search.int8.candidates import SMOOTH, smoothable
from worker.compression.quantization.search.output_error import OutputComparer, OutputQuality
from worker.compression.quantization.search.repair.calibrated import calibrate
from worker.compression.quantization.search.repair.repairs import Repair
from worker.compression.steps.context import Context

METHODS: Final[tuple[Method, ...]] = ("minmax", "percentile", "mse")
PROGRESS: Final = 0.4
"""Share of the step's that calibrating takes."""


def _name(alpha: float | None, method: Method) -> str:
    return method if alpha is None else f"smoothed, {method}"


CALIBRATIONS: Final[Mapping[str, tuple[float | None, Method]]] = {
    _name(alpha, method): (alpha, method) for alpha in (None, SMOOTH) for method in METHODS
}
"""Name → SmoothQuant's alpha, and the method."""


@dataclass
class Calibrated:
    """Ready to be quantized, by the method that `name` says; `quality` has the outputs' by each that was compared."""

    static: Static
    alpha: float | None
    target: object
    repairs: list[Repair]
    quality: dict[str, OutputQuality] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return _name(self.alpha, self.static.method)

    @property
    def snr_db(self) -> float:
        return self.quality[self.name].snr_db


@dataclass(frozen=True)
class Calibrator:
    """Ranges come from `samples`; `output_error` judges on others."""

    edit: GraphEdit
    context: Context
    samples: Samples
    output_error: OutputComparer
    repair: bool = True

    def each(self) -> list[Calibrated]:
        """With and without smoothing, by the method of the best outputs; none where nothing can be quantized
        statically. Raises what `Observer` raises."""
        alphas = [None, SMOOTH] if smoothable(self.edit) else [None]
        made = [self._ready(alpha, n / len(alphas), (n + 1) / len(alphas)) for n, alpha in enumerate(alphas)]
        calibrations = [calibrated for calibrated in made if calibrated is not None]
        for calibrated in calibrations:
            self._choose_method(calibrated)
        return calibrations

    def named(self, name: str) -> Calibrated | None:
        """The one of `CALIBRATIONS` that is called so, compared with no other; None where nothing can be quantized
        statically, or smoothing has no place. Raises what `Observer` raises."""
        alpha, method = CALIBRATIONS[name]
        if alpha is not None and not smoothable(self.edit):
            return None
        calibrated = self._ready(alpha, 0, 1)
        if calibrated is not None:
            calibrated.static.method = method
        return calibrated

    def _ready(self, alpha: float | None, start: float, end: float) -> Calibrated | None:
        context = self.context
        settings = StaticSettings(calibration="mse", smooth=alpha, repair=self.repair)
        static, details = prepare(
            self.edit.on_clone(), settings, self.samples, context.shared, context.checked, context.features
        )
        if not static.selection().weighted:
            return None
        part = Within(context.progress, PROGRESS * start, PROGRESS * end)
        repairs = calibrate(static, settings, context, part.advance, self.output_error).repairs
        return Calibrated(static, alpha, details["target"], repairs)

    def _choose_method(self, calibrated: Calibrated) -> None:
        static = calibrated.static
        quality = {method: self.output_error(static.quantized(method=method)) for method in METHODS}
        static.method = max(METHODS, key=lambda method: quality[method].snr_db)
        calibrated.quality = {_name(calibrated.alpha, method): each for method, each in quality.items()}
