"""Numbers as people read them. `-` stands for what was not measured."""

from winnow.contract.base import Interval
from winnow.contract.evaluation import ERRORS

NUMBERS = ERRORS | {"r2", "pearson", "spearman"}
"""Metrics that are no shares."""
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(count: float) -> str:
    """1536 → `1.5 KiB`."""
    for unit in UNITS:
        if abs(count) < 1024 or unit == UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("the last unit takes all")


def count(number: float | None) -> str:
    """1234567 → `1,234,567`."""
    return "-" if number is None else f"{number:,.0f}"


def short_count(number: float) -> str:
    """Three significant digits: 100418560 → `100 M`, 6321 → `6.32 k`; below a thousand as it is."""
    for unit in ("", " k", " M", " G", " T"):
        if abs(number) < 999.5 or unit == " T":
            return f"{number:.0f}" if not unit else f"{number:.3g}{unit}"
        number /= 1000
    raise AssertionError("the last unit takes all")


def milliseconds(value: float) -> str:
    """Three significant digits: `0.0123 ms`, `4.57 ms`, `1,230 ms`."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.1 else 4
    return f"{value:,.{digits}f} ms"


def times(ratio: float | None, interval: Interval | None = None) -> str:
    """`2.04× [1.98, 2.11]`."""
    if ratio is None:
        return "-"
    return f"{ratio:.2f}×" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def metric(name: str, value: float, interval: Interval | None = None) -> str:
    """A share as percent, an error or a correlation as a number, with its interval."""
    scale, digits, unit = (1, ".4g", "") if name in NUMBERS else (100, ".2f", " %")
    bounds = (
        "" if interval is None else " [" + ", ".join(f"{scale * bound:{digits}}" for bound in interval) + "]"
    )
    return f"{scale * value:{digits}}{unit}{bounds}"


def number(value: float | None, interval: Interval | None = None, digits: int = 4) -> str:
    if value is None:
        return "-"
    bounds = f" [{interval[0]:.{digits}g}, {interval[1]:.{digits}g}]" if interval else ""
    return f"{value:.{digits}g}{bounds}"


def compared(value: float | None, target: float, interval: Interval | None = None) -> str:
    """A number with as many digits as tell it from what was asked: 0.999993 of 1 is not `1`."""
    digits = 4
    while (
        value not in (None, target)
        and digits < 17
        and number(value, None, digits) == number(target, None, digits)
    ):
        digits += 1
    return number(value, interval, digits)


def asked_and_measured(
    name: str, bound: float, measured: float | None, interval: Interval | None = None
) -> tuple[str, str]:
    """Of a requirement: bytes as whole numbers, all else with as many digits as tell both apart."""
    if name.endswith("_bytes"):
        return count(bound), count(measured)
    return number(bound), compared(measured, bound, interval)


def change(name: str, drop: float, interval: Interval) -> str:
    """Of a metric: `worse by 0.50 % [0.10, 0.90]`, or better."""
    if drop >= 0:
        return f"worse by {metric(name, drop, interval)}"
    return f"better by {metric(name, -drop, (-interval[1], -interval[0]))}"


def rate(per_second: float) -> str:
    """`62,840 /s`, `9.57 /s`."""
    return f"{per_second:,.0f} /s" if per_second >= 100 else f"{per_second:.3g} /s"


def duration(seconds: float) -> str:
    """75 → `1:15`, 3725 → `1:02:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
