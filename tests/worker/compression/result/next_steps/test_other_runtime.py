"""Another runtime is suggested where it was measured to be decidedly faster, and in bfloat16 only where that pays."""

from dataclasses import replace
from pathlib import Path

import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.asked import report
from tests.support.in_process import InProcess
from tests.support.openvino import needs_openvino
from tests.support.small_nets import digits_net
from winnow.contract.job import ClosedJob
from winnow.contract.portability import Portability
from winnow.contract.recipe import Recipe
from winnow.contract.report import NextStep, RequirementResult
from winnow.contract.target import Target
from worker.compression.data.source import Data
from worker.compression.materials import Materials
from worker.compression.measure.timing.fastest import Timed
from worker.compression.options import Options
from worker.compression.progress import Silent
from worker.compression.result.next_steps import other_runtime
from worker.compression.result.next_steps.other_runtime import OTHERS, Elsewhere, fastest, with_other_runtime
from worker.compression.upload.upload import open_upload

RECIPE = Recipe.model_validate({"steps": [{"kind": "int8_dynamic"}]})
LOADS = Portability(runtime="openvino-cpu", loads=True, why=None, operators=[])
SPEEDS = st.floats(0.2, 5)


def elsewhere(target: Target, speedup: float, spread: float = 0.01, untold: str | None = None) -> Elsewhere:
    return Elsewhere(target, "the result", Timed(1, speedup, (speedup - spread, speedup + spread), untold))


MEASURED = st.builds(
    elsewhere, st.sampled_from(OTHERS), SPEEDS, st.floats(0, 0.2), st.sampled_from([None, "a busy machine"])
)


@given(st.lists(MEASURED, max_size=6))
def test_what_is_chosen_is_surely_faster_and_none_of_float32_is_surely_faster_than_bfloat16(
    measured: list[Elsewhere],
) -> None:
    chosen = fastest(measured)
    sure = [each for each in measured if each.timed.untold is None and each.timed.interval[0] > 1.02]
    assert (chosen is None) == (not sure)
    if chosen is not None:
        assert chosen in sure
        alike = [each for each in sure if each.target == chosen.target]
        assert chosen.target != OTHERS[0] or chosen.timed.speedup == max(e.timed.speedup for e in alike)
        exact = [each.timed.interval[1] for each in sure if each.target == OTHERS[0]]
        assert chosen.target == OTHERS[0] or all(chosen.timed.interval[0] > bound for bound in exact)


def test_bfloat16_has_to_be_faster_beyond_both_intervals() -> None:
    exact, close, clear = (elsewhere(*it) for it in ((OTHERS[0], 1.5), (OTHERS[1], 1.51), (OTHERS[1], 1.6)))
    assert fastest([exact, close]) == exact
    assert fastest([close, exact, clear]) == clear
    assert fastest([elsewhere(OTHERS[0], 1.02), elsewhere(OTHERS[1], 3, untold="busy")]) is None


@pytest.fixture
def given_job(tmp_path: Path) -> Materials:
    path = tmp_path / "model.onnx"
    ir.save(digits_net(), path)
    upload = open_upload(path, tmp_path / "upload", max_unpacked_bytes=2**30)
    request = ClosedJob(model="mdl_1", recipe=RECIPE, name="mine")
    options = Options(request=request, processes=InProcess())
    return Materials(upload, Data(), tmp_path, tmp_path / "curves", Silent(), options)


def of_openvino(materials: Materials, *, timed: Elsewhere, **changes: object) -> list[NextStep]:
    """What is suggested where this was measured."""
    before = report(portability=[LOADS], **changes)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(other_runtime, "_timed", lambda *_: [timed])
        return with_other_runtime(before, materials.upload.path, RECIPE, materials).next_steps


def test_the_same_job_is_suggested_with_that_target(given_job: Materials) -> None:
    (exact,) = of_openvino(given_job, timed=elsewhere(OTHERS[0], 1.5))
    assert "OpenVINO, which is installed here too, runs the result 1.50 times as fast" in exact.why
    made = ClosedJob.model_validate(exact.request)
    assert (made.target, made.precision, made.name, made.recipe) == ("openvino-cpu", "f32", "mine", RECIPE)
    (half,) = of_openvino(given_job, timed=elsewhere(OTHERS[1], 1.5))
    assert ClosedJob.model_validate(half.request).precision == "bf16"
    assert "2 to 3 digits" in half.why


def test_it_comes_first_where_speed_was_missed_and_there_are_never_more_than_three(
    given_job: Materials,
) -> None:
    others = [NextStep(why=f"{n}", request={"recipe": {}}) for n in range(3)]
    missed = RequirementResult(
        name="min_speedup", asked=2, measured=1, interval=(1, 1), met=False, why="It is not."
    )
    timed = elsewhere(OTHERS[0], 1.5)
    first = of_openvino(given_job, timed=timed, next_steps=others, requirements=[missed])
    last = of_openvino(given_job, timed=timed, next_steps=others, requirements=[])
    assert [step.why for step in first][1:] == ["0", "1"]
    assert [step.why for step in last][:2] == ["0", "1"]
    assert len(first) == len(last) == 3


@pytest.mark.parametrize(
    "options",
    [{"target": "openvino-cpu"}, {"checked": "qnn"}, {"judging": "trial"}, {"judging": "final"}],
)
def test_nothing_is_timed_for_a_job_with_a_target_or_of_a_search(
    options: dict[str, object], given_job: Materials
) -> None:
    other = replace(given_job, options=replace(given_job.options, **options))
    assert of_openvino(other, timed=elsewhere(OTHERS[0], 9)) == []


def test_what_breaks_costs_nothing(given_job: Materials, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(other_runtime, "_timed", breaks)
    before = report(portability=[LOADS])
    assert with_other_runtime(before, given_job.upload.path, RECIPE, given_job) is before
    assert with_other_runtime(report(), given_job.upload.path, RECIPE, given_job).next_steps == []


@needs_openvino
@pytest.mark.usefixtures("all_told")
def test_both_models_are_timed_on_what_loads_them(given_job: Materials) -> None:
    measured = other_runtime._timed(given_job.upload.path, given_job)
    exact = [each.model for each in measured if each.target == "openvino-cpu"]
    assert exact == ["the result", "the model as uploaded"]
    assert all(each.timed.speedup > 0 for each in measured)
