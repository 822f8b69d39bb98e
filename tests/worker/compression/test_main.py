"""`python -m worker.compression`: paths where ids stand."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from worker.compression import __main__ as command


def test_teachers_and_students_are_paths_beside_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: dict[str, Any] = {}

    def compress(model: Path, *given: object, options: Any) -> Any:
        came.update(model=model, models=options.models)
        return SimpleNamespace(
            outcome="unchecked", verdict=SimpleNamespace(summary=[], recommend="use_result", because="so")
        )

    steps = [{"kind": "distillation", "teacher": "big/t.onnx", "student": "s.onnx"}]
    (tmp_path / "job.json").write_text(json.dumps({"model": "m.onnx", "recipe": {"steps": steps}}))
    monkeypatch.setattr(command, "compress", compress)
    monkeypatch.setattr(sys, "argv", ["winnow", str(tmp_path / "job.json"), "--out", str(tmp_path)])
    assert command.main() == 0
    assert came["model"] == tmp_path / "m.onnx"
    assert came["models"] == {"big/t.onnx": tmp_path / "big" / "t.onnx", "s.onnx": tmp_path / "s.onnx"}
