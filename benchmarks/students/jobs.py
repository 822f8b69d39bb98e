"""Jobs of an embedded service, sent as a user would."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from winnow.client import Client
from winnow.contract.job import JobRequest
from winnow.contract.report import Report

SEEDS: Final = (0, 1, 2)
LONGER: Final = float(os.environ.get("WINNOW_BENCH_LONGER", "1"))
CHOOSING: Final = "WINNOW_BENCH_CHOOSING" in os.environ
"""Judge on the data that settings were chosen on, in place of those that rows report on."""

Steps = Sequence[Mapping[str, Any]]
Rows = Mapping[str, tuple[int, int]]
"""Rows of the dataset by role."""


def reported(
    winnow: Client,
    model: str,
    steps: Steps,
    dataset: str,
    rows: Rows,
    *,
    seed: int = 0,
    shapes: Mapping[str, Sequence[int]] | None = None,
    to: Path | None = None,
) -> Report:
    """Run the recipe, judged by top-1, timed on one thread one sample at a time; `to`: where the artifact goes."""
    request = {
        "model": model,
        "recipe": {"steps": steps},
        "data": {role: {"dataset": dataset, "slice": part} for role, part in rows.items()},
        "evaluation": {"metric": "top1"},
        "benchmark": {"shapes": shapes or {}, "rounds": 25},
        "seed": seed,
    }
    job = winnow.wait(winnow.submit(JobRequest.model_validate(request)).id)
    if to is not None:
        winnow.download(job.id, to)
    return winnow.report(job.id)


def longer(number: int) -> int:
    """So many epochs, or steps, times what the variable says."""
    return max(1, round(LONGER * number))


def speed(reports: Sequence[Report]) -> float:
    """The median of the speed-ups that could be told; NaN for none."""
    told = [report.latency[0].speedup for report in reports]
    return float(np.median([each for each in told if each is not None] or [np.nan]))


def mean_drop(reports: Sequence[Report]) -> tuple[float, float]:
    """Of top-1, and its standard error over the seeds."""
    drops = [report.quality[0].drop for report in reports]
    return float(np.mean(drops)), float(np.std(drops, ddof=1) / len(drops) ** 0.5) if drops[1:] else np.nan


def listed(reports: Sequence[Report]) -> str:
    return ", ".join(f"{100 * report.quality[0].after:.2f}" for report in reports)
