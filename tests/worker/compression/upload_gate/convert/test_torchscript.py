"""TorchScript: off unless allowed, converted with declared inputs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.admission.inputs import parse_input
from tests.support.ort import largest_difference, run
from winnow.contract.errors import Refusal
from worker.compression.onnx_files import model_files
from worker.compression.upload_gate.convert import torchscript

torch = pytest.importorskip("torch")

CAP = 2**30
IMAGE = "image:float32[N,1,8,8]"


def convert(path: Path, folder: Path, *declared: str, allowed: bool = True) -> Path:
    target = folder / "model.onnx"
    torchscript.convert(
        path, target, [parse_input(text) for text in declared], allowed=allowed, max_bytes=CAP
    )
    return target


def refusal(path: Path, folder: Path, *declared: str, allowed: bool = True) -> Any:
    with pytest.raises(Refusal) as caught:
        convert(path, folder, *declared, allowed=allowed)
    return caught.value.problem


def test_outputs_are_those_of_the_script_and_names_are_as_declared(
    scripted: Path, images: np.ndarray, expected: np.ndarray, tmp_path: Path
) -> None:
    target = convert(scripted, tmp_path, IMAGE)
    model = model_files.load(target)
    assert [(v.name, str(v.shape)) for v in model.graph.inputs] == [("image", "[N,1,8,8]")]
    assert [v.name for v in model.graph.outputs] == ["output"]
    assert largest_difference([expected], run(target, {"image": images})) <= 1e-4
    assert list(tmp_path.iterdir()) == [target]


def test_several_inputs_and_outputs_keep_their_order(tmp_path: Path) -> None:
    class Two(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, a, b):  # type: ignore[no-untyped-def]
            return a + b, (a - b).to(torch.float64)

    path = tmp_path / "two.pt"
    torch.jit.save(torch.jit.trace(Two(), (torch.zeros(2, 3), torch.zeros(2, 3))), path)
    out = tmp_path / "out"
    out.mkdir()
    target = convert(path, out, "left:float32[N,3]", "right:float32[N,3]")
    feeds = {"left": np.full((5, 3), 2, np.float32), "right": np.ones((5, 3), np.float32)}
    total, difference = run(target, feeds)
    assert (total == 3).all()
    assert (difference == 1).all()


def test_an_image_of_open_size_is_tried_until_it_is_large_enough(tmp_path: Path) -> None:
    layers = [torch.nn.Conv2d(3, 4, 9, stride=4), torch.nn.Conv2d(4, 2, 9)]
    path = tmp_path / "large.pt"
    torch.jit.save(torch.jit.script(torch.nn.Sequential(*layers)), path)
    target = convert(path, tmp_path, "image:float32[N,3,H,W]")
    assert run(target, {"image": np.zeros((1, 3, 100, 80), np.float32)})[0].shape == (1, 2, 15, 10)


def test_switched_off_it_names_the_setting_and_the_alternative(scripted: Path, tmp_path: Path) -> None:
    problem = refusal(scripted, tmp_path, IMAGE, allowed=False)
    assert problem.code == "torchscript_disabled"
    assert "WINNOW_ALLOW_TORCHSCRIPT" in problem.detail
    assert ".pt2" in problem.detail


def test_without_declared_inputs_it_says_how_to_declare_them(scripted: Path, tmp_path: Path) -> None:
    problem = refusal(scripted, tmp_path)
    assert (problem.code, problem.field) == ("inputs_undeclared", "input")


def test_inputs_that_do_not_fit_are_refused_with_the_declaration(scripted: Path, tmp_path: Path) -> None:
    problem = refusal(scripted, tmp_path, "image:float32[N,3,8,8]")
    assert (problem.code, problem.field) == ("conversion_failed", "input")
    assert "channels" in problem.detail


@pytest.mark.parametrize("allowed", [False, True])
def test_pickles_are_refused_as_pickles_whether_it_is_on_or_off(
    allowed: bool, network: Any, tmp_path: Path
) -> None:
    path = tmp_path / "module.pt"
    torch.save(network, path)
    assert refusal(path, tmp_path, IMAGE, allowed=allowed).code == "pickle_refused"
    torch.save(network.state_dict(), path)
    problem = refusal(path, tmp_path, IMAGE, allowed=allowed)
    assert problem.code == "pickle_refused"
    assert "state dict" in problem.detail


def test_a_broken_archive_is_refused(scripted: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.pt"
    path.write_bytes(scripted.read_bytes()[:-100])
    assert refusal(path, tmp_path, IMAGE).code == "invalid_model"
