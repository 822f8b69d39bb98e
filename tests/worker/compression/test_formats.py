"""One network in three formats gives one result: int8 artifacts with the same predictions, sizes within 3 %."""

from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from app.admission.inputs import parse_input
from tests.support.in_process import InProcess
from winnow.contract.declaration import Declaration
from winnow.contract.job import Benchmark
from winnow.contract.model import ModelFormat
from winnow.contract.recipe import Recipe
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.upload.inspection import inspect_model

CALIBRATION, JUDGED = (0, 200), 1000


@pytest.fixture(scope="module")
def network() -> tuple[nn.Module, np.ndarray]:
    """Trained for two epochs of the digits, so that its predictions mean something."""
    torch.manual_seed(0)
    bunch = load_digits()
    images, labels = (bunch.images / 16).astype(np.float32)[:, None], torch.from_numpy(bunch.target)
    made = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 96, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(384, 10),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(made.parameters(), 5e-3)
    for rows in list(torch.randperm(1797).split(64)) * 2:
        optimizer.zero_grad()
        functional.cross_entropy(made(torch.from_numpy(images[rows])), labels[rows]).backward()
        optimizer.step()
    return made.eval(), images


EXAMPLE = torch.zeros(2, 1, 8, 8)


@cache
def program(network: nn.Module) -> torch.export.ExportedProgram:
    return torch.export.export(network, (EXAMPLE,), dynamic_shapes=({0: torch.export.Dim("N")},))


def written(network: nn.Module, format: ModelFormat, path: Path) -> Path:
    """`path` without a suffix: bytes say what they are."""
    if format == "torchscript":
        torch.jit.save(torch.jit.trace(network, EXAMPLE), str(path))
    elif format == "torch_export":
        named = path.with_suffix(".pt2")
        torch.export.save(program(network), named)
        named.rename(path)
    else:
        torch.onnx.export(program(network), (), path, external_data=False, verbose=False)
    return path


def artifact(network: nn.Module, images: np.ndarray, format: ModelFormat, folder: Path) -> Path:
    """What int8_static makes of this format, as a job does it: inspected, converted, compressed."""
    folder.mkdir()
    path = written(network, format, folder / "upload")
    declared = [parse_input("image:float32[N,1,8,8]")] if format == "torchscript" else []
    (folder / "scratch").mkdir()
    found = inspect_model(
        path, format, declared, folder / "scratch", allow_torchscript=True, max_unpacked_bytes=2**30
    )
    name = found.facts.inputs[0].name
    np.savez(folder / "data.npz", image=images)
    declaration = Declaration.model_validate({"inputs": {name: {"array": "image"}}})
    compress(
        found.converted or path,
        Recipe.model_validate({"steps": [{"kind": "int8_static"}]}),
        Data(calibration=Source(folder / "data.npz", declaration, CALIBRATION)),
        folder / "out",
        options=Options(benchmark=Benchmark(rounds=9), processes=InProcess()),
    )
    return folder / "out" / "artifact.onnx"


def predictions(path: Path, images: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0]).argmax(1)


def test_three_formats_give_one_artifact(network: tuple[nn.Module, np.ndarray], tmp_path: Path) -> None:
    model, images = network
    formats: tuple[ModelFormat, ...] = ("onnx", "torch_export", "torchscript")
    made = {format: artifact(model, images, format, tmp_path / format) for format in formats}
    judged = images[-JUDGED:]
    first = predictions(made["onnx"], judged)
    with torch.no_grad():
        exact = model(torch.from_numpy(judged)).argmax(1).numpy()
    assert (first == exact).mean() > 0.98
    for path in made.values():
        assert np.array_equal(predictions(path, judged), first)
        assert path.stat().st_size == pytest.approx(made["onnx"].stat().st_size, rel=0.03)
