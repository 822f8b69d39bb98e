"""What a report says of speed, as a cell of a table; also where the machine was too busy to tell."""

from winnow.contract.report import Report


def speed_told(report: Report) -> str:
    """`1.23× (1.21-1.26)` at the first benchmark entry."""
    timed = report.latency[0]
    if timed.speedup is None or timed.speedup_interval is None:
        return "not told"
    low, high = timed.speedup_interval
    return f"{timed.speedup:.2f}× ({low:.2f}-{high:.2f})"
