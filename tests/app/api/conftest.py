import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.facts import dataset_facts, model_facts
from tests.support.served import Served, served

ONNX = bytes([0x08, 10, 0x3A, 4]) + b"grap"
"""The outermost fields of a model: ir_version 10, and a graph of four bytes."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def api(server: Served, tmp_path: Path) -> Served:
    """Without anything that another test has stored."""
    return server.emptied(tmp_path)


@pytest.fixture
def onnx() -> bytes:
    return ONNX


@pytest.fixture
def npz() -> bytes:
    return zipped({"x.npy": b"numbers", "labels.npy": b"more"})


@pytest.fixture
def model(api: Served, onnx: bytes) -> str:
    """The id of a model that is ready."""
    id = str(api.http.post("/v1/models", params={"name": "net.onnx"}, content=onnx).json()["id"])
    api.inspected(id, model_facts().model_dump())
    return id


@pytest.fixture
def other_model(api: Served, onnx: bytes) -> str:
    """The id of another model that is ready."""
    content = onnx.replace(b"grap", b"GRAP")
    id = str(api.http.post("/v1/models", params={"name": "other.onnx"}, content=content).json()["id"])
    api.inspected(id, model_facts().model_dump())
    return id


@pytest.fixture
def dataset(api: Served, npz: bytes) -> str:
    """The id of a dataset that is ready."""
    id = str(api.http.post("/v1/datasets", content=npz).json()["id"])
    api.inspected(id, dataset_facts().model_dump())
    return id


@pytest.fixture
def job(api: Served, model: str) -> str:
    """The id of a queued job."""
    request = {"model": model, "recipe": {"steps": [{"kind": "float16"}]}, "tags": {"team": "vision"}}
    return str(api.http.post("/v1/jobs", json=request).json()["id"])


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()
