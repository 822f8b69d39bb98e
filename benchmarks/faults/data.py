"""Data that is wrong, labels in other forms, checks at POST, and trainings that must not end worse than they began."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.parts import ROOT, Row
from tests.support.digits import DECLARATION, EVALUATION, digits
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress

SHARED: Final = ROOT.parent / "shared"
ROWS: Final = 400
SEEDS: Final = (0, 1, 2)
STEPS: Final = 7

CONTRACT: Final = "tests/app/admission/test_"
DATA: Final = "tests/worker/compression/data/test_"
MEASURE: Final = "tests/worker/compression/measure/quality/test_chance.py::test_"
TRAINING: Final = "tests/worker/compression/training/loop/test_validate.py::test_"

HELD: Final = {
    "random pictures, labels all zero: chance and constants are warned of": MEASURE
    + "labels_that_are_all_equal_are_told",
    "a model at chance is told from one that is better": MEASURE
    + "a_model_that_guesses_is_told_and_one_that_knows_is_not",
    "the original's quality stands first": "tests/worker/compression/test_original_first.py"
    "::test_the_originals_quality_and_raw_pixels_come_before_any_step",
    "integers without a scale, pixels, equal labels at inspection": "tests/worker/compression/data/inspection/"
    "test_suspicious.py::test_inspection_tells_what_looks_wrong",
    "one-hot and whole floats are class numbers": DATA + "labels.py::test_one_hot_rows_are_their_class",
    "labels at POST": CONTRACT + "labels.py::test_labels_are_judged_at_the_door",
    "words for labels say how to mend it": CONTRACT + "labels.py::test_words_are_told_how_to_become_numbers",
    "finetune on one-hot and whole floats": "tests/worker/compression/training/test_train_step.py"
    "::test_labels_of_any_form_teach_the_same",
    "int8 without a layer for it": CONTRACT + "integers.py::test_int8_without_data_says_that_data_is_missing",
    "names of feature values": CONTRACT + "features.py::test_a_wrong_name_is_told_with_the_nearest",
    "target MACs with sizes from evaluation data": "tests/worker/compression/channel_pruning/test_channel_pruning.py"
    "::test_any_data_tells_the_sizes_that_macs_are_counted_with",
    "a rejected dataset shows its arrays": "tests/worker/test_job_output.py::test_a_rejected_dataset_keeps_its_arrays",
    "the search's share of the work": TRAINING + "a_search_takes_at_most_a_quarter_of_the_steps",
    "a rate is checked": TRAINING + "a_rate_that_makes_its_own_batch_worse_is_lowered",
    "the log of a search is one line": "tests/worker/compression/training/loop/test_training_progress.py"
    "::test_a_range_test_is_work_and_tells_its_steps",
    "enough validation rows": TRAINING + "few_rows_give_a_larger_share",
    "what the rows cannot tell changes nothing": TRAINING + "noise_is_no_progress",
}


def rows(folder: Path) -> Iterator[Row]:
    """Trainings that begin with a good model, each over several seeds, judged on rows that none of them saw."""
    (made := folder / "digits").mkdir()
    files = digits(made)
    own = Source(files.data, DECLARATION, (0, ROWS)), Source(files.data, DECLARATION, EVALUATION)
    yield _row(
        f"{STEPS} steps, digits", files.model, own, {"steps": STEPS, "batch_size": 50}, folder / "seven"
    )
    model, data = SHARED / "models/dscnn-kws.onnx", SHARED / "data/kws01_test.npz"
    if not model.exists():
        yield Row("data", f"finetune of {ROWS} rows, dscnn-kws", "no worse", f"{SHARED} is missing", False)
        return
    declared = Declaration.model_validate(KEYWORDS)
    kws = Source(data, declared, (0, ROWS)), Source(data, declared, (ROWS, 1000))
    yield _row(f"finetune of {ROWS} rows, dscnn-kws", model, kws, {}, folder / "kws")
    yield _row(f"{STEPS} steps, dscnn-kws", model, kws, {"steps": STEPS, "batch_size": 50}, folder / "kws7")


KEYWORDS: Final = {"inputs": {"mfcc": {"array": "x"}}, "targets": {"array": "y"}}


def _row(item: str, model: Path, data: tuple[Source, Source], settings: dict[str, Any], folder: Path) -> Row:
    """Met where no seed's drop is told from 0 (95 %), and the mean drop is none beyond half a point."""
    reports = [_trained(model, data, settings, seed, folder / str(seed)) for seed in SEEDS]
    pairs = [report.quality[0] for report in reports]
    told = "; ".join(f"{100 * q.before:.1f} → {100 * q.after:.1f} %" for q in pairs)
    worse = [q for q in pairs if q.drop_interval[0] > 0]
    met = not worse and float(np.mean([q.drop for q in pairs])) <= 0.005
    return Row("data", item, "ends no worse than it began", f"top-1, {len(SEEDS)} seeds: {told}", met)


def _trained(
    model: Path, data: tuple[Source, Source], settings: dict[str, Any], seed: int, folder: Path
) -> Report:
    recipe = Recipe.model_validate({"steps": [{"kind": "finetune", **settings}]})
    options = Options(Evaluation(metric="top1"), benchmark=Benchmark(rounds=9), seed=seed)
    return compress(model, recipe, Data(training=data[0], evaluation=data[1]), folder, options=options)
