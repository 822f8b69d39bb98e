from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from tests.support.graphs import mlp
from winnow.contract.recipe import AnyStep, Recipe
from winnow.contract.report import StepReport
from worker.compression.cache.checkpoint import Checkpoints
from worker.compression.onnx_files import model_files

STEPS: list[AnyStep] = Recipe.model_validate({"steps": [{"kind": "float16"}, {"kind": "int8_dynamic"}]}).steps


def a_report(index: int) -> StepReport:
    return StepReport(
        index=index,
        kind=STEPS[index].kind,
        seconds=1.0,
        changed=2,
        candidates=2,
        size_bytes=10,
        opset=18,
        targets=[],
        notes=[],
        details={},
    )


def a_model(seed: int) -> ir.Model:
    return ir.from_proto(mlp(seed=seed))


def weights(model: ir.Model) -> bytes:
    return b"".join(value.raw_data for value in ir.to_proto(model).graph.initializer)


def test_nothing_is_kept_at_first(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path, "base").last(STEPS) is None


def test_the_longest_finished_run_of_steps_is_found(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "base")
    kept.keep(a_model(1), STEPS[:1], [a_report(0)])
    kept.keep(a_model(2), STEPS, [a_report(0), a_report(1)])
    for steps, seed in ((STEPS[:1], 1), (STEPS, 2)):
        found = Checkpoints(tmp_path, "base").last(steps)
        assert found is not None
        assert weights(found[0]) == weights(a_model(seed))
        assert found[1] == [a_report(index) for index in range(len(steps))]


def test_another_base_finds_nothing(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "base").keep(a_model(1), STEPS[:1], [a_report(0)])
    assert Checkpoints(tmp_path, "another seed").last(STEPS) is None


def test_half_a_checkpoint_is_none(tmp_path: Path) -> None:
    """Whoever died while writing leaves a folder that nobody takes."""
    partial = tmp_path / "partial-x"
    partial.mkdir()
    onnx.save(mlp(), partial / "model.onnx")
    assert Checkpoints(tmp_path, "base").last(STEPS) is None


def test_a_second_writer_of_the_same_steps_finds_them_done(tmp_path: Path) -> None:
    for _ in range(2):
        Checkpoints(tmp_path, "base").keep(a_model(1), STEPS[:1], [a_report(0)])
    assert Checkpoints(tmp_path, "base").last(STEPS[:1]) is not None


def test_whoever_is_overtaken_between_two_calls_leaves_the_others_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen worker's child that goes on, and the next attempt, at the same step."""
    save, kept = model_files.save, Checkpoints(tmp_path, "base")

    def overtaken(model: ir.Model, path: Path) -> None:
        monkeypatch.setattr(model_files, "save", save)
        kept.keep(a_model(1), STEPS[:1], [a_report(0)])
        save(model, path)

    monkeypatch.setattr(model_files, "save", overtaken)
    Checkpoints(tmp_path, "base").keep(a_model(1), STEPS[:1], [a_report(0)])
    assert kept.last(STEPS[:1]) is not None
    assert len(list(tmp_path.iterdir())) == 1


def test_recipes_that_begin_alike_share_the_steps_that_they_have_in_common(tmp_path: Path) -> None:
    """And neither takes the other's place."""
    others = [STEPS[0], *Recipe.model_validate({"steps": [{"kind": "low_rank"}]}).steps]
    kept = Checkpoints(tmp_path, "base")
    kept.keep(a_model(1), STEPS[:1], [a_report(0)])
    kept.keep(a_model(2), STEPS, [a_report(0), a_report(1)])
    start = kept.last(others)
    assert start is not None
    assert start[1] == [a_report(0)]
    kept.keep(a_model(3), others, [a_report(0), a_report(1)])
    for steps, seed in ((STEPS, 2), (others, 3)):
        last = Checkpoints(tmp_path, "base").last(steps)
        assert last is not None
        assert weights(last[0]) == weights(a_model(seed))


def test_a_checkpoint_whose_reports_cannot_be_read_is_made_again(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "base")
    kept.keep(a_model(1), STEPS[:1], [a_report(0)])
    next(tmp_path.glob("*/reports.json")).write_text('[{"index": 0')
    assert kept.last(STEPS[:1]) is None
    kept.keep(a_model(1), STEPS[:1], [a_report(0)])
    assert kept.last(STEPS[:1]) is not None


def test_what_could_not_be_kept_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("worker.compression.cache.checkpoint.model_files.save", full)
    with pytest.raises(OSError, match="No space"):
        Checkpoints(tmp_path, "base").keep(a_model(1), STEPS[:1], [a_report(0)])
    assert list(tmp_path.iterdir()) == []
