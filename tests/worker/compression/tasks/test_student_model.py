"""A student as a file: made without data, and inspected like an upload."""

from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest

from tests.support.refusals import refusal
from tests.support.residual_nets import residual_net
from winnow.contract.student_request import student_step
from worker.compression.runtime.session import open_cpu_session
from worker.compression.tasks.student_model import StudentModel, make_student_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "model.onnx"
    ir.save(residual_net("post", [1.0] * 4), path)
    return path


def made(base: Path, folder: Path, seed: int = 0, **settings: Any) -> StudentModel:
    (scratch := folder / f"made-{len(list(folder.iterdir()))}").mkdir()
    return make_student_model(base, student_step(settings), seed, scratch, max_unpacked_bytes=2**30)


def test_of_depth_1_and_width_1_it_is_the_upload_byte_for_byte(base: Path, tmp_path: Path) -> None:
    assert made(base, tmp_path).path.read_bytes() == base.read_bytes()


def test_it_runs_and_its_facts_are_its_own(base: Path, tmp_path: Path) -> None:
    student = made(base, tmp_path, depth=0.5)
    assert student.facts.blocks is not None
    assert [block.name for block in student.facts.blocks] == ["join0", "join2"]
    session = open_cpu_session(student.path, threads=1)
    assert [value.name for value in session.get_inputs()] == ["x"]


def test_fresh_weights_alone_make_another_file_and_the_seed_says_which(base: Path, tmp_path: Path) -> None:
    files = [made(base, tmp_path, seed, init="fresh").path.read_bytes() for seed in (1, 1, 2)]
    assert files[0] == files[1] != files[2]
    assert files[0] != base.read_bytes()


def test_a_target_that_cannot_be_reached_is_refused(base: Path, tmp_path: Path) -> None:
    problem = refusal(lambda: made(base, tmp_path, target="macs", amount=0.99))
    assert problem is not None
    assert (problem.code, problem.field) == ("invalid_request", "amount")
    assert "99.0% of the macs were to go" in problem.detail
