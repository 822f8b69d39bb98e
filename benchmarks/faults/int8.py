"""Ranges that saturate, biases that overflow, choices that grow a file, reasons that are not true; and `int8` with its
defaults on thirty models: no file larger than the upload, none slower beyond the noise.

A model counts as slower where the upper bound of its measured speed-up is below 1 less what two sessions of one and the
same file differ by (`recommendation.FLOOR`).
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.faults.int8_models import Case, cases
from benchmarks.parts import Row
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.recipe import Recipe
from winnow.contract.report import Latency, Report
from worker.compression.data.source import Data, Source
from worker.compression.measure.verdict.recommendation import MIN_TELLING_SPEEDUP
from worker.compression.options import Options
from worker.compression.pipeline import compress

COMPRESSION: Final = "tests/worker/compression/"
INT8: Final = f"{COMPRESSION}quantization/test_int8.py::"
HELD: Final = {
    "what only moves values but can add some": f"{COMPRESSION}quantization/integer/test_added_values.py",
    "tiny weights beside a bias, also for cuda": (
        f"{COMPRESSION}quantization/test_int8_static.py::test_tiny_weights_beside_a_bias_keep_the_outputs"
    ),
    "every bias fits an int32": (
        f"{COMPRESSION}quantization/test_int8_static.py::test_every_bias_fits_half_an_int32"
    ),
    "a bias that training made larger": "tests/worker/compression/engine/test_working.py",
    "a limit is a limit, no file grows": (
        "tests/worker/compression/quantization/search/int8/test_winner.py::test_the_limit_is_a_limit_and_no_file_grows"
    ),
    "max_drop 0.0 keeps the float model": (
        f"{INT8}test_a_limit_that_nothing_meets_keeps_the_float_model_and_says_so"
    ),
    "what integers make larger stays": f"{INT8}test_a_model_that_integers_make_larger_stays_as_it_was",
    "changed 0: the tidied upload, keep_original": (
        "tests/worker/compression/test_pipeline.py::test_where_the_float_model_wins_the_artifact_is_the_tidied_upload"
    ),
    "int8 without data asks for it": f"{INT8}test_without_data_convolutions_ask_for_it",
    "no step that chooses lets a file grow": f"{COMPRESSION}test_float_candidate.py",
    "reasons are the true ones": f"{INT8}test_reasons_name_what_would_have_to_change",
    "the sensitivity is always told": (
        f"{INT8}test_the_sensitivity_of_each_layer_is_told_also_where_nothing_is_left_out"
    ),
}
MODELS: Final = 30
"""Besides those that have no layer that integers can compute, which are listed: silero's lie inside an If."""
NO_LAYER: Final = "nothing_to_quantize"
STEP: Final = Recipe.model_validate({"steps": [{"kind": "int8"}]})


def rows(folder: Path) -> Iterator[Row]:
    count = 0
    for case in cases(folder):
        row = _row(case, folder / "job")
        count += NO_LAYER not in row.measured
        yield row
    yield Row("int8", "models", f"at least {MODELS}", str(count), count >= MODELS)


def _row(case: Case, folder: Path) -> Row:
    asked = "not larger, not slower beyond noise"
    try:
        report = _compressed(case, folder)
    except Refusal as refusal:
        problem = refusal.problem
        none = problem.code == NO_LAYER
        return Row("int8", case.name, asked, f"{problem.code}: {problem.detail}"[:160], met=none)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    timed, step = report.latency[0], report.steps[0]
    told = (
        f"{report.size_bytes.ratio:.3f} of the bytes, {_speed(timed)}, {step.changed} of {step.candidates}, "
        f"{step.details['chosen']}, {step.seconds:.0f} s"
    )
    slower = timed.speedup_interval is not None and timed.speedup_interval[1] < 1 - MIN_TELLING_SPEEDUP
    return Row("int8", case.name, asked, told, report.size_bytes.ratio <= 1 and not slower)


def _speed(timed: Latency) -> str:
    if timed.speedup is None or timed.speedup_interval is None:
        return f"speed not told ({timed.untold})"
    low, high = timed.speedup_interval
    return f"{timed.speedup:.2f}× ({low:.2f}–{high:.2f})"


def _compressed(case: Case, folder: Path) -> Report:
    folder.mkdir()
    np.savez(folder / "data.npz", **case.arrays)
    source = Source(folder / "data.npz", Declaration.model_validate(case.declaration), case.calibration)
    options = Options(benchmark=Options().benchmark.model_copy(update={"shapes": case.shapes}))
    return compress(case.path, STEP, Data(calibration=source), folder / "out", options=options)
