"""A job as a child is told it: measured briefly, judged by top-1, without requirements."""

from pathlib import Path
from typing import Any

from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe, Requirements
from worker.child.spec import Compress, Rows


def compress_task(
    model: Path, steps: list[dict[str, Any]], rows: Rows, folder: Path, *, training: Rows | None = None
) -> Compress:
    """Calibrate and judge on the same rows; `training` for steps that train."""
    return Compress(
        kind="compress",
        model=model,
        recipe=Recipe.model_validate({"steps": steps}),
        calibration=rows,
        training=training,
        evaluation_data=rows,
        out_dir=folder,
        evaluation=Evaluation(metric="top1"),
        require=Requirements(),
        benchmark=Benchmark(rounds=9),
        seed=0,
        max_unpacked_bytes=1 << 34,
    )
