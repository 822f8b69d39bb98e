"""The task as the library gets it."""

import os
from pathlib import Path
from typing import Any

import pytest

from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe, Requirements
from worker.child.messages import Messages
from worker.child.protocol import FROM_CHILD, Kept
from worker.child.spec import Compress, Rows
from worker.child.work import perform
from worker.compression import pipeline


def test_all_that_a_job_names_reaches_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    came: list[Any] = []
    monkeypatch.setattr(pipeline, "compress", lambda *given, options: came.extend([*given, options]))
    step = {"kind": "distillation", "teacher": "mdl_t"}
    rows = Rows.model_validate({"path": "d.npz", "declaration": {}, "slice": [0, 9], "map": {"x": "image"}})
    task = Compress(
        kind="compress",
        model=Path("m.onnx"),
        models={"mdl_t": Path("t.onnx")},
        recipe=Recipe.model_validate({"steps": [step]}),
        calibration=None,
        training=rows,
        evaluation_data=None,
        out_dir=tmp_path,
        evaluation=None,
        require=Requirements(),
        benchmark=Benchmark(),
        seed=3,
        max_unpacked_bytes=4,
    )
    reading, writing = os.pipe()
    messages = Messages(writing, 1.0)
    assert perform(task, messages) == {}
    model, recipe, data, folder, _, options = came
    assert (model, recipe, folder) == (Path("m.onnx"), task.recipe, tmp_path)
    assert data.training is not None
    assert (data.training.path, data.training.slice, data.training.map) == (
        Path("d.npz"),
        (0, 9),
        {"x": "image"},
    )
    assert (options.seed, options.max_unpacked_bytes) == (3, 4)
    assert options.models == {"mdl_t": Path("t.onnx")}
    options.on_kept("finished", "a-key")
    with messages._pipe, os.fdopen(reading, "rb", buffering=0) as pipe:
        assert FROM_CHILD.validate_json(pipe.readline()) == Kept(slot="finished", key="a-key")
