"""What a trial came to, of the report of its run."""

from typing import Any

from winnow.contract.report import Report


def result_of(report: Report) -> dict[str, Any]:
    """As the row of a trial keeps it, and `worker.search.measured` reads it."""
    speed = report.latency[0] if report.latency else None
    return {
        "outcome": report.outcome,
        "size_bytes": report.size_bytes.after,
        "macs": None if report.macs is None else report.macs.after,
        "memory_bytes": None if report.peak_rss_bytes is None else report.peak_rss_bytes.after,
        "memory_before_bytes": None if report.peak_rss_bytes is None else report.peak_rss_bytes.before,
        "speedup": None
        if speed is None or speed.speedup is None
        else {"value": speed.speedup, "interval": speed.speedup_interval},
        "metrics": {
            entry.metric: {
                "before": entry.before,
                "after": entry.after,
                "drop": entry.drop,
                "interval": entry.drop_interval,
            }
            for entry in report.quality
        },
        "parity": {
            "cosine": _least(entry.cosine for entry in report.parity),
            "snr_db": _least(entry.snr_db for entry in report.parity),
        },
        "requirements": [entry.model_dump(mode="json") for entry in report.requirements],
    }


def _least(values: Any) -> float | None:
    return min((value for value in values if value is not None), default=None)
