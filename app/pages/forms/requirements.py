"""What a result can be required to meet, as fields of a form: those that most people set, and the others."""

from dataclasses import dataclass
from typing import Final

from winnow.contract.requirements import QUALITY


@dataclass(frozen=True)
class Field:
    """`needs_data`: it can only be told on data."""

    name: str
    label: str
    hint: str
    usual: bool
    needs_data: bool


_LABELS: Final = {
    "max_metric_drop": ("Quality may drop by at most", "absolute: 0.01 is one point of accuracy"),
    "min_speedup": ("At least this many times as fast", "1.5 is one and a half times as fast"),
    "max_size_ratio": ("File at most this share of the original", "0.5 is half the bytes"),
    "min_snr_db": ("Outputs alike: at least this signal-to-noise, dB", "20 dB is a tenth of noise"),
    "max_relative_drop": (
        "Quality may drop by at most this share of it",
        "0.01 is a hundredth of what it was",
    ),
    "max_latency_ms": ("One run in at most, ms", "the median at the first batch size"),
    "max_size_bytes": ("File of at most, bytes", ""),
    "max_memory_bytes": ("Memory of at most, bytes", "loaded and run once"),
    "min_cosine": ("Outputs alike: cosine of at least", "between -1 and 1"),
    "min_agreement": (
        "Same answers as the original, at least this share",
        "0.98 is 98 of 100; needs data, no labels",
    ),
}
_USUAL: Final = ("max_metric_drop", "min_speedup", "max_size_ratio")
_ON_DATA: Final = QUALITY - {"min_cosine", "min_snr_db"}

REQUIREMENTS: Final = [
    Field(name, *_LABELS[name], name in _USUAL, name in _ON_DATA)
    for name in sorted(_LABELS, key=[*_LABELS].index)
]
"""All of `Requirements` but bounds of single metrics, which a request can have besides."""
