"""A trial is judged on the selection part, its final on the other; the artifact stays the trial's."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from tests.support.digits import CALIBRATION, DECLARATION, EVALUATION, Digits, digits
from tests.support.in_process import InProcess
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.graph_hash import graph_sha256
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from winnow.contract.requirements import Requirements
from winnow.contract.search import Objective, SearchReport
from winnow.contract.split import rows_of
from worker.compression.data.source import Data, Source
from worker.compression.measure.extent import Extent, Judging
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.progress import Silent
from worker.compression.tasks.final import judge_final
from worker.compression.tasks.order import Finalist

TRIAL = Options(
    Evaluation(metric="top1"),
    benchmark=Benchmark(rounds=9, batch_sizes=[1, 2]),
    processes=InProcess(),
    judging="trial",
    extent=Extent(brief=True, times=False, weighs=False),
)
FINAL = replace(TRIAL, judging="final", extent=Extent())
BRIEF = Benchmark(rounds=9)
PALETTE = {"kind": "palette", "colors": 2}
RECIPE = Recipe.model_validate({"steps": [{"kind": "int8_static"}]})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return digits(tmp_path_factory.mktemp("digits"))


def own_data(files: Digits) -> Data:
    return Data(
        calibration=Source(files.data, DECLARATION, CALIBRATION),
        evaluation=Source(files.data, DECLARATION, EVALUATION),
    )


def search(objective: Objective = "size") -> SearchReport:
    return SearchReport(objective=objective, spaces=[], trials=1, chosen=None, recipe=None, sentences=[])


@pytest.fixture(scope="module")
def trial(files: Digits, tmp_path_factory: pytest.TempPathFactory) -> tuple[Finalist, Report]:
    out = tmp_path_factory.mktemp("trial")
    report = compress(files.model, RECIPE, own_data(files), out, options=TRIAL)
    return Finalist(4, out / "artifact.onnx", out / "report.json", RECIPE, 0.9, 1000.0), report


@pytest.fixture(scope="module")
def final(
    files: Digits, trial: tuple[Finalist, Report], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Report]:
    out = tmp_path_factory.mktemp("final")
    return out, judge_final(files.model, [trial[0]], search(), own_data(files), out, Silent(), options=FINAL)


def test_trial_and_final_are_judged_on_halves_that_share_no_row(
    trial: tuple[Finalist, Report], final: tuple[Path, Report]
) -> None:
    """Together they are all rows of the slice that was given for evaluation, each class in the same shares."""
    split = trial[1].split
    assert split is not None
    assert split == final[1].split
    assert split.stratified
    selection, judged = (set(rows_of(split, part)) for part in ("selection", "final"))
    assert not selection & judged
    assert selection | judged == set(range(*EVALUATION))
    assert trial[1].quality[0].samples == len(selection)
    assert final[1].quality[0].samples == len(judged)


def test_one_dataset_has_the_selection_part_for_trials(files: Digits, tmp_path: Path) -> None:
    whole = Data(whole=Source(files.data, DECLARATION))
    report = compress(files.model, RECIPE, whole, tmp_path, options=TRIAL)
    assert report.split is not None
    assert report.quality[0].samples == report.split.counts["selection"] > 0
    assert report.quality[0].held_out


def test_a_trial_measures_no_more_than_its_choice_needs(trial: tuple[Finalist, Report]) -> None:
    """Multiply-accumulates count the same shapes as when it is timed."""
    report = trial[1]
    assert report.latency == []
    assert report.load_ms is None
    assert report.peak_rss_bytes is None
    assert report.verdict.faster is None


def test_a_brief_timing_is_an_estimate_of_the_first_entry_and_says_so(files: Digits, tmp_path: Path) -> None:
    options = replace(TRIAL, extent=Extent(brief=True, weighs=False))
    report = compress(files.model, RECIPE, own_data(files), tmp_path, options=options)
    (entry,) = report.latency
    assert entry.rounds == 5
    assert entry.untold is None
    assert entry.speedup is not None
    assert any("estimate" in note for note in report.notes)


@pytest.mark.parametrize("judging", ["result", "trial"])
def test_what_a_step_aims_for_is_required_of_a_job_and_a_means_in_a_search(
    files: Digits, tmp_path: Path, judging: Judging
) -> None:
    recipe = Recipe.model_validate({"steps": [{"kind": "mixed_precision", "max_size_ratio": 0.001}]})
    options = replace(TRIAL, judging=judging)
    report = compress(files.model, recipe, own_data(files), tmp_path, options=options)
    (target,) = report.steps[0].targets
    assert (target in report.requirements) == (judging == "result")


def test_the_final_hands_over_the_trials_graph_and_measures_all_of_it(
    trial: tuple[Finalist, Report], final: tuple[Path, Report]
) -> None:
    (out, report), (finalist, tried) = final, trial
    assert graph_sha256(out / "artifact.onnx") == graph_sha256(finalist.artifact) == tried.graph_sha256
    assert report.graph_sha256 == tried.graph_sha256
    onnx.checker.check_model(out / "artifact.onnx")
    metadata = {entry.key for entry in onnx.load(out / "artifact.onnx").metadata_props}
    assert "winnow.top1" in metadata
    assert len(report.latency) == 2
    assert report.peak_rss_bytes is not None
    assert report.steps == tried.steps
    assert report.layers == tried.layers
    assert report.macs == tried.macs
    assert report.search is not None
    assert (report.search.chosen, report.search.recipe) == (4, RECIPE)
    assert Report.model_validate_json((out / "report.json").read_text()) == report


def test_without_a_finalist_the_upload_is_handed_over_tidied(files: Digits, tmp_path: Path) -> None:
    report = judge_final(files.model, [], search(), own_data(files), tmp_path, Silent(), options=FINAL)
    assert report.steps == []
    assert report.search is not None
    assert report.search.chosen is None
    assert report.verdict.recommend == "keep_original"
    assert report.quality[0].drop == 0
    onnx.checker.check_model(tmp_path / "artifact.onnx")


def test_what_the_final_finds_too_bad_gives_way_to_the_upload(
    files: Digits, trial: tuple[Finalist, Report], tmp_path: Path
) -> None:
    """It had been chosen on other rows; the upload meets what is required, and no data has chosen it."""
    options = replace(FINAL, require=Requirements(min_snr_db=90), benchmark=BRIEF)
    report = judge_final(
        files.model, [trial[0]], search(), own_data(files), tmp_path, Silent(), options=options
    )
    assert (report.outcome, report.steps) == ("accepted", [])
    assert report.search is not None
    assert (report.search.chosen, report.search.recipe) == (None, None)
    assert "Trial 4" in report.search.sentences[-2]
    assert "dB" in report.search.sentences[-2]
    assert report.graph_sha256 == graph_sha256(tmp_path / "artifact.onnx")


@pytest.mark.usefixtures("all_told")
@pytest.mark.parametrize("also", [{"max_size_ratio": 0.01}, {"min_speedup": 1000.0}])
def test_where_the_upload_is_not_allowed_either_what_was_chosen_stays_with_causes(
    files: Digits, trial: tuple[Finalist, Report], tmp_path: Path, also: dict[str, float]
) -> None:
    require = Requirements.model_validate({"min_snr_db": 90, **also})
    options = replace(FINAL, require=require, benchmark=BRIEF)
    report = judge_final(
        files.model, [trial[0]], search(), own_data(files), tmp_path, Silent(), options=options
    )
    assert report.outcome == "requirements_not_met"
    assert report.search is not None
    assert report.search.chosen == 4
    assert report.graph_sha256 == trial[1].graph_sha256 == graph_sha256(tmp_path / "artifact.onnx")
    assert all(entry.cause for entry in report.requirements)
    assert report.next_steps


def test_a_report_of_another_artifact_is_refused(
    files: Digits, trial: tuple[Finalist, Report], tmp_path: Path
) -> None:
    other = replace(trial[0], artifact=files.model)
    with pytest.raises(Refusal, match="trial 4 tells of another artifact"):
        judge_final(files.model, [other], search(), own_data(files), tmp_path, Silent(), options=FINAL)


@pytest.fixture(scope="module")
def palette(files: Digits, tmp_path_factory: pytest.TempPathFactory) -> tuple[Finalist, Report]:
    """Two values a layer: less than the 8 bits of `trial`, and far worse."""
    out, recipe = tmp_path_factory.mktemp("palette"), Recipe.model_validate({"steps": [PALETTE]})
    report = compress(files.model, recipe, own_data(files), out, options=TRIAL)
    return Finalist(7, out / "artifact.onnx", out / "report.json", recipe, 0.6, 500.0), report


@pytest.mark.usefixtures("all_told")
@pytest.mark.parametrize(("least", "last"), [(-100.0, 7), (10.0, 4)])
def test_the_last_that_holds_is_handed_over_and_the_search_says_why(
    files: Digits,
    trial: tuple[Finalist, Report],
    palette: tuple[Finalist, Report],
    tmp_path: Path,
    least: float,
    last: int,
) -> None:
    """The surest holds both times; behind one that misses nothing is judged."""
    both = {each[0].number: each[1] for each in (trial, palette)}
    third = replace(palette[0], number=9, chance=0.5, cost=1.0, artifact=tmp_path / "nothing.onnx")
    finalists = [third, palette[0], trial[0]] if last == 4 else [palette[0], trial[0]]
    options = replace(FINAL, require=Requirements(min_snr_db=least), benchmark=BRIEF)
    report = judge_final(
        files.model, finalists, search(), own_data(files), tmp_path, Silent(), options=options
    )
    assert report.outcome == "accepted"
    assert report.search is not None
    assert (report.search.chosen, report.graph_sha256) == (last, both[last].graph_sha256)
    assert report.graph_sha256 == graph_sha256(tmp_path / "artifact.onnx")
    assert report.steps == both[last].steps
    assert report.search.sentences[-1].startswith("Trial 7")
    assert Report.model_validate_json((tmp_path / "report.json").read_text()) == report


@pytest.mark.usefixtures("all_told")
def test_where_the_surest_misses_no_other_is_judged(
    files: Digits, trial: tuple[Finalist, Report], tmp_path: Path
) -> None:
    other = replace(trial[0], number=9, chance=0.5, cost=1.0, artifact=tmp_path / "nothing.onnx")
    options = replace(FINAL, require=Requirements(min_snr_db=90), benchmark=BRIEF)
    report = judge_final(
        files.model, [trial[0], other], search(), own_data(files), tmp_path, Silent(), options=options
    )
    assert report.search is not None
    assert (report.outcome, report.search.chosen) == ("accepted", None)
