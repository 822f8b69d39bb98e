"""`python -m worker.compression`: paths where ids stand."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
import torch

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
    (tmp_path / "big").mkdir()
    for name in ("m.onnx", "s.onnx", "big/t.onnx"):
        (tmp_path / name).write_bytes(b"onnx")
    monkeypatch.setattr(command, "compress", compress)
    monkeypatch.setattr(sys, "argv", ["winnow", str(tmp_path / "job.json"), "--out", str(tmp_path)])
    assert command.main() == 0
    assert came["model"] == tmp_path / "m.onnx"
    assert came["models"] == {"big/t.onnx": tmp_path / "big" / "t.onnx", "s.onnx": tmp_path / "s.onnx"}


def ask(monkeypatch: pytest.MonkeyPatch, job: Path, **request: Any) -> int:
    job.write_text(json.dumps({"recipe": {"steps": [{"kind": "float16"}]}} | request))
    monkeypatch.setattr(sys, "argv", ["winnow", str(job), "--out", str(job.parent / "out")])
    return command.main()


@pytest.mark.parametrize("missing", ["model", "data"])
def test_a_missing_file_is_named_before_the_work(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").write_bytes(b"x")
    data = {"evaluation": {"dataset": "there" if missing == "model" else "gone"}}
    model = "gone" if missing == "model" else "there"
    assert ask(monkeypatch, tmp_path / "job.json", model=model, data=data) == 1
    assert capsys.readouterr().err == f"There is no file {tmp_path / 'gone'}.\n"


def test_a_pt2_is_converted_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = torch.export.export(torch.nn.Linear(4, 3).eval(), (torch.zeros(1, 4),))
    torch.export.save(program, tmp_path / "net.pt2")
    assert ask(monkeypatch, tmp_path / "job.json", model="net.pt2", benchmark={"rounds": 9}) in (0, 3)
    assert onnx.load(tmp_path / "out" / "artifact.onnx").graph.node
