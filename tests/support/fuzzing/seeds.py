"""Small honest files of every format."""

import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from tests.support import graphs
from tests.support.attacks.pt2_files import HONEST
from tests.support.fuzzing.readers import Format


@cache
def seeds(format: Format) -> list[bytes]:
    match format:
        case "pt2":
            return [path.read_bytes() for path in sorted(HONEST.parent.glob("*.pt2"))]
        case "torchscript":
            return [_scripted()]
        case "npz":
            return [_arrays(np.savez), _arrays(np.savez_compressed)]
        case "onnx":
            made = [
                graphs.cnn(),
                graphs.branches(),
                graphs.with_functions(),
                graphs.with_sparse_initializers(),
            ]
            return [model.SerializeToString() for model in made]
        case "onnx in zip":
            return [_zipped()]
        case "onnx in tar":
            return [_tarred()]


def _scripted() -> bytes:
    import torch

    buffer = io.BytesIO()
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU())
    torch.jit.save(torch.jit.trace(network, torch.zeros(1, 1, 4, 4)), buffer)
    return buffer.getvalue()


def _arrays(save: Callable[..., None]) -> bytes:
    buffer = io.BytesIO()
    labels = np.arange(6) % 3
    save(buffer, image=np.ones((6, 3, 4), np.float32), labels=labels, turned=np.asfortranarray(np.eye(6)))
    return buffer.getvalue()


def _external() -> list[tuple[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        graphs.with_external_data(Path(folder))
        return [(path.name, path.read_bytes()) for path in sorted(Path(folder).iterdir())]


def _zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in _external():
            archive.writestr(name, content)
    return buffer.getvalue()


def _tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in _external():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
