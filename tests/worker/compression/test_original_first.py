"""The original's own quality is told before any work."""

from pathlib import Path
from typing import Any

from tests.support.digits import EVALUATION, digits
from tests.support.in_process import InProcess
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress

RAW = Declaration.model_validate(
    {"inputs": {"image": {"array": "images", "add_axis": 1}}, "targets": {"array": "labels"}}
)


class Heard:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, index: int, kind: str) -> None:
        self.lines.append(f"step {kind}")

    def advance(self, fraction: float) -> None: ...

    def log(self, message: str, level: str = "info", **values: Any) -> None:
        self.lines.append(f"{level}: {message}")


def test_the_originals_quality_and_raw_pixels_come_before_any_step(tmp_path: Path) -> None:
    files, heard = digits(tmp_path), Heard()
    data = Data(evaluation=Source(files.data, RAW, EVALUATION))
    options = Options(Evaluation(metric="top1"), benchmark=Benchmark(rounds=9), processes=InProcess())
    recipe = Recipe.model_validate({"steps": [{"kind": "float16"}]})
    report = compress(files.model, recipe, data, tmp_path / "out", heard, options=options)
    first, second = heard.lines[:2]
    assert first.startswith("info: The original's top1 on 500 samples: 0.")
    assert second.startswith(
        "warning: Input 'image' takes float32, and is given the uint8 numbers of 'images'"
    )
    assert heard.lines.index("step float16") > 1
    assert report.notes[0].startswith("The original's top1 on 597 samples: 0.")
    assert any("has no scale, mean or std" in note for note in report.notes)
