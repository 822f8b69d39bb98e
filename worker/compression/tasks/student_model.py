"""A student as a model of its own: made by the step `student` without data, written as an artifact is, inspected."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from winnow.contract.errors import Refusal
from winnow.contract.model import ModelFacts
from winnow.contract.recipe import Student
from worker.compression.apply import check
from worker.compression.cache.checkpoint import Checkpoints
from worker.compression.data.source import Data
from worker.compression.materials import Materials, fingerprint
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.options import Options
from worker.compression.progress import Silent
from worker.compression.result.artifact import finish
from worker.compression.run_steps import run_steps
from worker.compression.upload.inspection import inspect_model
from worker.compression.upload.upload import Upload, open_upload


@dataclass(frozen=True)
class StudentModel:
    """`path` is one file, without external data."""

    path: Path
    facts: ModelFacts


def make_student_model(
    base: Path, step: Student, seed: int, scratch: Path, *, max_unpacked_bytes: int
) -> StudentModel:
    """Make the student of an ONNX file, or an archive of one, in the empty folder `scratch`.

    Raises `Refusal`: what the step raises, `invalid_request` for a target that cannot be reached, `model_too_complex`
    for a student of more than one file, and what inspection refuses.
    """
    upload = open_upload(base, scratch, max_unpacked_bytes=max_unpacked_bytes)
    path = scratch / "student.onnx"
    shutil.copyfile(_made(upload, step, seed, scratch), path)
    inspected = inspect_model(
        path,
        "onnx",
        [],
        scratch / "inspected",
        allow_torchscript=False,
        max_unpacked_bytes=max_unpacked_bytes,
    )
    return StudentModel(path, inspected.facts)


def _made(upload: Upload, step: Student, seed: int, scratch: Path) -> Path:
    """Write it, unless it is the upload itself."""
    materials = Materials(upload, Data(), scratch, scratch / "curves", Silent(), Options(seed=seed))
    check(upload.float32, [step], materials.model)
    checkpoints = Checkpoints(
        scratch / "checkpoints", fingerprint(upload.key, materials.data, materials.options)
    )
    graph, reports = run_steps([step], materials, checkpoints, scratch / "diverged.onnx")
    for target in reports[0].targets:
        if not target.met:
            raise Refusal("invalid_request", str(target.why), field="amount")
    made = finish(graph, reports, [step], materials).candidate if reports[0].changed else upload.path
    if bytes_of(made) != made.stat().st_size:
        raise Refusal(
            "model_too_complex",
            f"The student takes {bytes_of(made):,} bytes, more than one ONNX file holds. Ask for a smaller one.",
        )
    return made
