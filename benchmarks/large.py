"""`make bench-large`: a generated transformer of 3 GB through each step that needs no gradients: peak memory, seconds.

    python -m benchmarks.large [--width 2048] [--blocks 16] [STEP …]

Each step is a job in a process of its own, from the tar of graph and external data to the artifact, and its parity with
the original, which is computed in further processes, as for every large model; nothing is timed in turns. The memory is
the largest anonymous one of the job's process above what it takes after its imports: asked are 1.5 times the largest
weight, and 200 MB for all that is no weight. To load the packed files of `sparsity` ONNX Runtime takes more than 19 GB
(`docs/techniques.md`); without them the job ends when it measures, and the row tells the peak until then.
"""

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.support.large import large_transformer
from winnow.contract.errors import Refusal
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from worker.compression.data.source import Data
from worker.compression.measure.apart.fresh import PeakMemory
from worker.compression.measure.extent import Extent
from worker.compression.options import Options
from worker.compression.pipeline import compress

RECIPES: Final[dict[str, list[dict[str, Any]]]] = {
    "weight_only": [{"kind": "weight_only", "method": "rtn"}],
    "int8_dynamic": [{"kind": "int8_dynamic"}],
    "float16": [{"kind": "float16"}],
    "palette": [{"kind": "palette", "colors": 16}],
    "sparsity": [{"kind": "sparsity", "criterion": "magnitude", "sparsity": 0.6}],
    "sparsity 2:4": [{"kind": "sparsity", "criterion": "magnitude", "structure": "2:4"}],
    "simplify": [{"kind": "simplify"}],
    "simplify, float16": [{"kind": "simplify"}, {"kind": "float16"}],
}
LENGTH: Final = 16
"""Of the sequence that both are compared on."""
BASE_BYTES: Final = 200e6
MB: Final = 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("steps", nargs="*")
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.job:
        print(json.dumps(_job(asked.steps[0], Path(asked.job[0]), Path(asked.job[1]), asked.width)))
        return
    table = Table("steps", "before, MB", "after, MB", "peak, MB", "asked", "seconds", "signal to noise, dB")
    with tempfile.TemporaryDirectory() as folder:
        archive, largest = _archive(Path(folder), asked.width, asked.blocks)
        most = 1.5 * largest + BASE_BYTES
        for name in asked.steps or RECIPES:
            row = _row(name, _run(name, archive, Path(folder), asked.width), most)
            print(" | ".join(row), flush=True)
            table.add_row(*row)
    Console(width=150).print(table)


def _archive(folder: Path, width: int, blocks: int) -> tuple[Path, int]:
    """The model as users upload it, and the bytes of its largest weight."""
    path = folder / "large.onnx"
    largest = large_transformer(path, width, blocks)
    with tarfile.open(folder / "large.tar", "w") as tar:
        for file in (path, path.with_name("large.onnx.data")):
            tar.add(file, file.name)
            file.unlink()
    return folder / "large.tar", largest


def _run(name: str, archive: Path, folder: Path, width: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=folder) as out:
        command = [sys.executable, "-m", "benchmarks.large", name, "--width", str(width)]
        ended = subprocess.run(
            [*command, "--job", str(archive), out], capture_output=True, text=True, check=False
        )
    if ended.returncode:
        return {"failed": [*ended.stderr.strip().splitlines(), ""][-1][:200]}
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told


def _job(name: str, archive: Path, out: Path, width: int) -> dict[str, Any]:
    recipe = Recipe.model_validate({"steps": RECIPES[name]})
    options = Options(
        benchmark=Benchmark(rounds=9, shapes={"x": [1, LENGTH, width]}),
        extent=Extent(times=False, weighs=False),
    )
    begun = time.monotonic()
    with PeakMemory() as peak:
        try:
            report = compress(archive, recipe, Data(), out, options=options)
        except Refusal as refusal:
            return {"failed": refusal.problem.detail, "peak": peak.bytes}
    return {
        "before": report.size_bytes.before,
        "after": report.size_bytes.after,
        "peak": peak.bytes,
        "seconds": time.monotonic() - begun,
        "snr_db": report.parity[0].snr_db,
    }


def _row(name: str, made: dict[str, Any], most: float) -> list[str]:
    met = "met" if made.get("peak", 0) <= most else "NOT met"
    if "failed" in made:
        peak = f"{made['peak'] / MB:.0f}" if "peak" in made else ""
        return [
            name,
            "",
            "",
            peak,
            f"≤ {most / MB:.0f}: {met}" if peak else "",
            "",
            f"refused: {made['failed']}",
        ]
    snr = "the same" if made["snr_db"] is None else f"{made['snr_db']:.1f}"
    return [
        name,
        f"{made['before'] / MB:.0f}",
        f"{made['after'] / MB:.0f}",
        f"{made['peak'] / MB:.0f}",
        f"≤ {most / MB:.0f}: {met}",
        f"{made['seconds']:.0f}",
        snr,
    ]


if __name__ == "__main__":
    main()
