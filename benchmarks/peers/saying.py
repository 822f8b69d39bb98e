"""A result that is slower and not smaller says so: where one is found here, the whole job is run and its words read."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers.candidates import OURS
from benchmarks.peers.cases import Case
from benchmarks.peers.rules import Finding, Measured, faster
from winnow.contract.recipe import Recipe
from worker.compression.data.source import Data, Source
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.pipeline import compress


def says_so(case: Case, floats: Measured, measured: list[Measured]) -> Iterator[Finding]:
    for one in measured:
        larger = bytes_of(one.candidate.path) >= bytes_of(case.model)
        slower = faster(one, floats, next(iter(one.times)))[2] < 1
        if not (one.candidate.ours and larger and slower):
            continue
        with tempfile.TemporaryDirectory() as folder:
            recipe = Recipe.model_validate({"steps": [OURS[one.candidate.name]]})
            report = compress(case.model, recipe, Data(calibration=Source(case.calibration)), Path(folder))
        words = [*report.verdict.summary, *report.steps[0].notes]
        said = [word for word in words if "slower" in word.lower()]
        yield Finding(
            f"{one.candidate.name} is slower and not smaller, and says so", " ".join(said), bool(said)
        )
