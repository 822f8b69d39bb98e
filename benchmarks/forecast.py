"""`python -m benchmarks.forecast`: sizes told beforehand beside those of the files that come out, for every model of
../shared and every recipe whose sizes follow from its settings."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.shared_data import Prepared, prepare, shared_or_exit
from tests.support.made_artifacts import RECIPES, forecast_of, inspected_facts, made_artifact
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.model import ModelFacts
from worker.compression.data.source import Source

MOST_ERROR = 0.1
ROWS = 16
QUANTIZED = "shufflenet-v2-12-int8.onnx"
"""Takes no step that is forecast."""


def main() -> None:
    models = [path for path in sorted((shared_or_exit() / "models").glob("*.onnx")) if path.name != QUANTIZED]
    table = Table("model", "recipes", "refused", "largest error of a size", "in", "of MACs")
    errors = []
    with tempfile.TemporaryDirectory() as name:
        for path in models:
            rows = list(_rows(path, Path(name) / path.stem))
            largest = max(rows, key=lambda row: abs(row[1]), default=("-", 0.0, 0.0))
            errors += [error for _, error, _ in rows]
            macs = max((abs(row[2]) for row in rows), default=0.0)
            refused = len(RECIPES) - len(rows)
            table.add_row(
                path.name, str(len(rows)), str(refused), f"{largest[1]:+.1%}", largest[0], f"{macs:.1%}"
            )
    Console(width=140).print(table)
    within = sum(abs(error) <= MOST_ERROR for error in errors)
    print(f"{within} of {len(errors)} sizes within {MOST_ERROR:.0%}, asked all: {within == len(errors)}")


def _rows(model: Path, folder: Path) -> Iterator[tuple[str, float, float]]:
    """Of each recipe that the model takes the relative errors of size and multiply-accumulates."""
    folder.mkdir()
    facts, prepared = inspected_facts(model, folder / "inspection"), prepare(model.name)
    source = _source(prepared, folder / "data.npz")
    for number, recipe in enumerate(RECIPES):
        if (row := _row(model, facts, recipe, source, prepared, folder / str(number))) is not None:
            print(model.name, *row, flush=True)
            yield row


def _row(
    model: Path, facts: ModelFacts, recipe: str, source: Source, prepared: Prepared, folder: Path
) -> tuple[str, float, float] | None:
    steps = RECIPES[recipe]
    try:
        made = made_artifact(model, steps, source, folder, prepared.shapes)
    except Refusal:
        return None
    forecast = forecast_of(facts, steps)
    if forecast.size_bytes is None or not made.changed:
        return None
    macs = 0.0 if forecast.macs is None or not made.macs else forecast.macs / made.macs - 1
    return recipe, forecast.size_bytes / made.size_bytes - 1, macs


def _source(prepared: Prepared, path: Path) -> Source:
    first = prepared.calibration[0]
    np.savez(path, **{name: array[first : first + ROWS] for name, array in prepared.arrays.items()})
    return Source(path, Declaration.model_validate(prepared.declaration))


if __name__ == "__main__":
    main()
