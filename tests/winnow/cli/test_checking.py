"""`winnow check`: rules of targets on a file, without a service."""

import json
from pathlib import Path

import pytest
from onnx import helper
from typer.testing import CliRunner, Result

from tests.support import qdq_nets as nets
from winnow.cli.commands import commands
from winnow.contract.target import CHECKED


def run(*arguments: object) -> Result:
    return CliRunner().invoke(commands, ["check", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture
def quantized(tmp_path: Path) -> Path:
    path = tmp_path / "quantized.onnx"
    path.write_bytes(nets.quantized_conv().SerializeToString())
    return path


def test_nodes_are_told_with_operator_reason_and_source(quantized: Path) -> None:
    result = run(quantized, "--target", "tensorrt")
    assert result.exit_code == 3
    assert "It cannot run there by the rules." in result.stdout
    assert "quantize" in result.stdout
    assert "UINT8 is refused" in result.stdout
    assert "Source: https://github.com/onnx/onnx-tensorrt/" in result.stdout
    assert "Not known: " in result.stdout


def test_what_runs_has_exit_code_0_and_so_has_the_look_at_all_targets(quantized: Path) -> None:
    assert run(quantized, "--target", "qnn").exit_code == 0
    result = run(quantized)
    assert result.exit_code == 0
    assert all(f"\n{name}: " in f"\n{result.stdout}" for name in CHECKED)


def test_programs_get_json(quantized: Path) -> None:
    qnn, webgpu = json.loads(run(quantized, "--target", "qnn", "--target", "webgpu", "--json").stdout)
    assert (qnn["target"], qnn["runs"], qnn["findings"]) == ("qnn", True, [])
    assert [finding["node"] for finding in webgpu["findings"]] == ["quantize", "quantize_out"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.onnx", None, "there is no file"),
        ("text.onnx", b"this is not a model", "is no ONNX file"),
        ("packed.zip", b"PK\x03\x04 and more", "Archives are unpacked"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(
    tmp_path: Path, name: str, content: bytes | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = run(tmp_path / name, "--target", "qnn")
    assert result.exit_code in (1, 2)
    assert sentence in " ".join(result.output.replace("│", " ").split())
    assert "Traceback" not in result.output


def test_a_target_without_rules_is_refused_with_those_that_have_some(quantized: Path) -> None:
    for wrong, hint in (("qn", "qnn"), ("onnxruntime-cpu", "tried by a job")):
        result = run(quantized, "--target", wrong)
        assert result.exit_code == 2
        assert hint in " ".join(result.output.replace("│", " ").split())


def test_names_from_the_file_send_nothing_to_the_terminal(tmp_path: Path) -> None:
    path, escape = tmp_path / "hostile.onnx", "\x1b[2J"
    model = nets.model(
        [helper.make_node(f"Foo{escape}", ["x"], ["y"], name=f"n{escape}", domain=f"d{escape}")],
        inputs={"x": [f"[red]{escape}", 4]},
    )
    model.functions.add(name=f"f{escape}", domain="local")
    path.write_bytes(model.SerializeToString())
    result = run(path)
    assert (result.exit_code, "\x1b" in result.stdout) == (0, False)
    assert "d?[2J.Foo?[2J" in result.stdout
    assert "'x' leaves [red]?[2J open" in " ".join(result.stdout.split())
