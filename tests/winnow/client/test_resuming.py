"""Large uploads over connections that break off, against the real API."""

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.storage.local_blobs import LocalBlobs
from tests.app.api.conftest import ONNX, zipped
from tests.support.cutting import Cut, cutting
from tests.support.http import answering, send
from tests.support.served import Served, served
from winnow.client import Client, ServiceProblem, ServiceUnreachable
from winnow.contract.errors import Refusal

CONTENT = bytes([0x08, 10, 0x3A, 0x80, 0x80, 0x40]) + bytes(range(256)) * 4096
"""The outermost fields of a model: ir_version 10, and a graph of 1 MiB."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("service")
    with served(folder, blobs=LocalBlobs(folder / "blobs")) as running:
        yield running


@pytest.fixture(autouse=True)
def parts_of_small_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("winnow.client.parts.uploads.LARGE", 1000)
    monkeypatch.setattr("winnow.client.resuming.QUICK", 0.01)
    monkeypatch.setattr("winnow.client.transport.PAUSES", (0.01, 0.02))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "large.onnx"
    file.write_bytes(CONTENT)
    return file


cuts = st.builds(Cut, after=st.integers(0, len(CONTENT) + 2000), mute=st.booleans())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(breaks=st.lists(cuts, max_size=2))
def test_a_model_arrives_whole_wherever_its_connections_break_off(
    api: Served, model: Path, breaks: list[Cut]
) -> None:
    seen: list[int] = []
    with cutting(api.url, breaks) as url, Client(url) as client:
        arrived = client.upload_model(model, on_progress=lambda done, _: seen.append(done), wait=False)
    assert (arrived.name, arrived.sha256) == ("large.onnx", hashlib.sha256(CONTENT).hexdigest())
    assert seen[-1] == len(CONTENT)
    api.http.delete(f"/v1/models/{arrived.id}")


def test_what_has_arrived_is_not_sent_again(api: Served, model: Path) -> None:
    """The first connection ends after two thirds; of what follows, the second gets no more than half."""
    first, second = Cut(2 * len(CONTENT) // 3), Cut(len(CONTENT) // 2, mute=True)
    with cutting(api.url, [first, second]) as url, Client(url) as client:
        arrived = client.upload_model(model, wait=False)
    assert arrived.size_bytes == len(CONTENT)
    api.http.delete(f"/v1/models/{arrived.id}")


def test_a_folder_is_made_again_from_where_it_broke_off(api: Served, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.png").write_bytes(bytes([number]) * 100_000)
    with Client(api.url) as client:
        whole = client.upload_dataset(folder, {"augment": []}, wait=False)
    api.http.delete(f"/v1/datasets/{whole.id}")
    with cutting(api.url, [Cut(200_000), Cut(350_000, mute=True)]) as url, Client(url) as client:
        arrived = client.upload_dataset(folder, {"augment": []}, wait=False)
    assert (arrived.name, arrived.sha256) == ("pictures", whole.sha256)


def test_a_declaration_goes_with_it(api: Served, tmp_path: Path) -> None:
    file = tmp_path / "data.npz"
    file.write_bytes(zipped({"x.npy": bytes(5000)}))
    declaration = {"inputs": {"image": {"array": "x", "scale": 0.5}}}
    with Client(api.url) as client:
        declared = client.upload_dataset(file, declaration, wait=False)
        api.http.delete(f"/v1/datasets/{declared.id}")
        inputs = {f"input_{number}": {"array": "x"} for number in range(500)}
        long = client.upload_dataset(file, {"inputs": inputs}, wait=False)
    assert set(declared.declaration.inputs) == {"image"}
    assert len(long.declaration.inputs) == 500


def test_a_small_upload_is_one_request(api: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("winnow.client.parts.uploads.send_in_parts", None)
    (tmp_path / "small.onnx").write_bytes(ONNX)
    with Client(api.url) as client:
        assert client.upload_model(tmp_path / "small.onnx", wait=False).size_bytes == len(ONNX)


def test_bytes_that_are_no_model_are_refused_with_the_reason(api: Served, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_bytes(b"no model " * 1000)
    for breaks in ([], [Cut(5000, mute=True)]):
        with cutting(api.url, breaks) as url, Client(url) as client:
            with pytest.raises(ServiceProblem) as refused:
                client.upload_model(tmp_path / "text.onnx")
            assert refused.value.code == "unknown_format"


def test_a_service_that_knows_no_parts_gets_it_in_one(model: Path) -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path.split("?")[0])
        problem = Refusal("not_found", "Nothing is at this address.").problem
        send(handler, 404, problem.model_dump_json().encode())

    with answering(answer) as url, Client(url) as client, pytest.raises(ServiceProblem):
        client.upload_model(model)
    assert asked == ["/v1/uploads/models", "/v1/models"]


def test_a_service_that_stays_away_is_said(api: Served, model: Path) -> None:
    endless = [Cut(0, mute=True)] * 100
    breaks = [Cut(len(CONTENT) // 2), *endless]
    with (
        cutting(api.url, breaks) as url,
        Client(url, patience=0.1) as client,
        pytest.raises(ServiceUnreachable),
    ):
        client.upload_model(model)
