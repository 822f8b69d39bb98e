import errno
from pathlib import Path

import pytest

from winnow.contract.declaration import Declaration
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe, Requirements
from worker.child import problems
from worker.child.spec import Compress, InspectDataset

INSPECTION = InspectDataset(
    kind="inspect_dataset",
    path=Path("a.npz"),
    declaration=Declaration(),
    scratch=Path(),
    max_unpacked_bytes=1,
)
JOB = Compress(
    kind="compress",
    model=Path("m.onnx"),
    recipe=Recipe.model_validate({"steps": [{"kind": "float16"}]}),
    calibration=None,
    training=None,
    evaluation_data=None,
    out_dir=Path(),
    evaluation=None,
    require=Requirements(),
    benchmark=Benchmark(),
    seed=0,
    max_unpacked_bytes=1,
)


def test_a_limit_names_the_field_of_a_job_and_the_operators_variable_of_an_inspection() -> None:
    assert problems.too_long(JOB, 60).field == "limits.seconds"
    assert problems.too_large(JOB, 1000, 2000).field == "limits.memory_bytes"
    assert "WINNOW_INSPECT_SECONDS" in problems.too_long(INSPECTION, 60).detail
    assert "WINNOW_INSPECT_MEMORY_BYTES" in problems.too_large(INSPECTION, 1000, 2000).detail


def test_a_limit_says_what_it_was_and_what_was_measured() -> None:
    detail = problems.too_large(JOB, 1000, 2000).detail
    assert "2,000" in detail
    assert "1,000" in detail


def _raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "memory_limit_exceeded"),
        (RuntimeError("std::bad_alloc"), "memory_limit_exceeded"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
        (RuntimeError("write to secret: No space left on device (28)"), "disk_full"),
        (_raised_from(ValueError("secret"), OSError(errno.ENOSPC, "full")), "disk_full"),
        (ZeroDivisionError("secret"), "step_failed"),
    ],
)
def test_an_error_of_a_library_becomes_a_problem_without_its_words(error: Exception, code: str) -> None:
    problem = problems.of(error, JOB)
    assert problem.code == code
    assert "secret" not in problem.detail
