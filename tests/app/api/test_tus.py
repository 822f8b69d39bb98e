"""Uploads in parts, over real HTTP: whatever breaks off, the whole arrives, as if it had come in one piece."""

import base64
import hashlib
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.settings import Settings
from app.storage.local_blobs import LocalBlobs
from app.storage.open import open_blobs, open_records
from app.storage.records import MAX_TRANSFERS
from tests.support.served import Served, served

V: dict[str, str] = {"Tus-Resumable": "1.0.0"}
PART = {**V, "Content-Type": "application/offset+octet-stream"}
ONNX = bytes([0x08, 10, 0x3A, 0x80 | 0x38, 0x17]) + bytes(range(250)) * 12
"""The outermost fields of a model: ir_version 10, and a graph of 3000 bytes."""


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("tus")
    with served(folder, blobs=LocalBlobs(folder / "blobs"), max_upload_bytes=5000) as running:
        yield running


def begun(api: Served, length: int = len(ONNX), kind: str = "models", **options: Any) -> str:
    headers = {**V, "Upload-Length": str(length), **options.pop("headers", {})}
    answer = api.http.post(f"/v1/uploads/{kind}", headers=headers, **options)
    assert (answer.status_code, answer.content) == (201, b""), answer.text
    assert answer.headers["upload-offset"] == "0"
    return str(answer.headers["location"])


def send(api: Served, upload: str, offset: int, content: Any, **headers: str) -> httpx.Response:
    return api.http.patch(upload, content=content, headers={**PART, "Upload-Offset": str(offset), **headers})


def offset_of(api: Served, upload: str) -> int:
    answer = api.http.head(upload, headers=V)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return int(answer.headers["upload-offset"])


def checksum(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


def files(api: Served) -> list[str]:
    return sorted(file.name for file in api.parts.settings.partial_dir.glob("*"))


def model_of(api: Served, answer: httpx.Response) -> dict[str, Any]:
    return dict(api.http.get(answer.headers["content-location"]).json())


def test_parts_become_the_model_that_a_plain_post_makes(on_disk: Served) -> None:
    upload = begun(on_disk, params={"name": "lenet"})
    for start in range(0, len(ONNX), 1000):
        assert offset_of(on_disk, upload) == start
        answer = send(on_disk, upload, start, ONNX[start : start + 1000])
        assert (answer.status_code, answer.headers["tus-resumable"]) == (204, "1.0.0")
        assert answer.headers["upload-offset"] == str(min(start + 1000, len(ONNX)))
        assert ("content-location" in answer.headers) == (start + 1000 >= len(ONNX))
    model = model_of(on_disk, answer)
    assert (model["name"], model["state"]) == ("lenet", "inspecting")
    assert (model["sha256"], model["size_bytes"]) == (hashlib.sha256(ONNX).hexdigest(), len(ONNX))
    assert [wake.id for wake in on_disk.queue.published][-1:] == [model["id"]]
    plain = on_disk.http.post("/v1/models", content=ONNX)
    assert (plain.status_code, plain.json()["id"]) == (200, model["id"])
    assert on_disk.http.get(f"/v1/models/{model['id']}/content").content == ONNX
    seen = on_disk.http.head(upload, headers=V)
    assert (seen.headers["upload-offset"], seen.headers["content-location"]) == (
        str(len(ONNX)),
        answer.headers["content-location"],
    )
    assert files(on_disk) == []


def test_a_dataset_comes_with_its_declaration(api: Served, npz: bytes) -> None:
    declaration = {"inputs": {"image": {"array": "x", "scale": 0.5}}}
    told = f"filename {base64.b64encode('réseau.npz'.encode()).decode()},filetype"
    params = {"declaration": json.dumps(declaration)}
    upload = begun(api, len(npz), "datasets", params=params, headers={"Upload-Metadata": told})
    assert api.http.head(upload, headers=V).headers["upload-metadata"] == told
    dataset = model_of(api, send(api, upload, 0, npz))
    assert dataset["name"] == "réseau"
    assert dataset["declaration"]["inputs"]["image"]["scale"] == 0.5


def test_what_goes_with_it_may_be_metadata(api: Served) -> None:
    upload = begun(api, headers={"Upload-Metadata": f"name {base64.b64encode(b'lenet').decode()}"})
    assert model_of(api, send(api, upload, 0, ONNX))["name"] == "lenet"


class Connection:
    """A PATCH that breaks off after some of its bytes."""

    def __init__(self, api: Served, upload: str, offset: int, length: int, **headers: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", api.http.base_url.port or 0))
        head = {
            **PART,
            "Host": "localhost",
            "Upload-Offset": str(offset),
            "Content-Length": str(length),
            **headers,
        }
        lines = [f"PATCH {upload} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        self._socket.sendall("\r\n".join(lines).encode())

    def send(self, content: bytes) -> None:
        self._socket.sendall(content)

    def cut(self) -> None:
        self._socket.close()


def until(holds: Any) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def sent_when_free(api: Served, upload: str, offset: int, content: bytes) -> httpx.Response:
    """Once the service has noticed that the connection before broke off."""
    answers: list[httpx.Response] = []

    def free() -> bool:
        answers.append(send(api, upload, offset_of(api, upload), content[offset_of(api, upload) :]))
        return answers[-1].status_code not in (409, 423)

    until(free)
    return answers[-1]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(ONNX)), max_size=4))
def test_a_transfer_that_breaks_off_anywhere_goes_on_there(on_disk: Served, cuts: list[int]) -> None:
    upload, arrived = begun(on_disk), 0
    for cut in sorted(cuts):
        now = offset_of(on_disk, upload)
        assert arrived <= now
        arrived = now
        if cut > arrived:
            connection = Connection(on_disk, upload, arrived, len(ONNX) - arrived)
            connection.send(ONNX[arrived:cut])
            connection.cut()
    answer = sent_when_free(on_disk, upload, 0, ONNX)
    if answer.status_code == 204 and "content-location" not in answer.headers:
        answer = on_disk.http.head(upload, headers=V)
    model = model_of(on_disk, answer)
    assert model["sha256"] == hashlib.sha256(ONNX).hexdigest()
    on_disk.http.delete(f"/v1/models/{model['id']}")


def test_what_came_before_the_connection_broke_off_stays(on_disk: Served) -> None:
    upload = begun(on_disk)
    connection = Connection(on_disk, upload, 0, len(ONNX))
    connection.send(ONNX[:1234])
    until(lambda: offset_of(on_disk, upload) == 1234)
    busy = send(on_disk, upload, 1234, ONNX[1234:])
    assert (busy.status_code, busy.json()["code"]) == (423, "upload_busy")
    connection.cut()
    assert model_of(on_disk, sent_when_free(on_disk, upload, 1234, ONNX))["size_bytes"] == len(ONNX)


def test_parts_outlive_the_service(tmp_path: Path) -> None:
    chosen = Settings(data_dir=tmp_path)
    with served(tmp_path, records=open_records(chosen), blobs=open_blobs(chosen)) as api:
        upload = begun(api)
        send(api, upload, 0, ONNX[:1000])
    with served(tmp_path, records=open_records(chosen), blobs=open_blobs(chosen)) as api:
        assert offset_of(api, upload) == 1000
        assert model_of(api, send(api, upload, 1000, ONNX[1000:]))["size_bytes"] == len(ONNX)


def test_whoever_sees_that_all_has_come_completes_it(on_disk: Served) -> None:
    """The service may end between the last byte and the record."""
    upload = begun(on_disk)
    partial = on_disk.parts.partials.open(upload.split("/")[-1])
    partial.write(ONNX)
    partial.close()
    seen = on_disk.http.head(upload, headers=V)
    assert seen.headers["upload-offset"] == str(len(ONNX))
    assert model_of(on_disk, seen)["size_bytes"] == len(ONNX)
    last = send(on_disk, upload, len(ONNX), b"")
    assert last.headers["content-location"] == seen.headers["content-location"]


def test_a_record_that_cannot_be_written_is_written_at_the_next_try(
    on_disk: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OSError("the database is away")

    upload = begun(on_disk)
    with monkeypatch.context() as patch:
        patch.setattr(on_disk.parts.records, "add_upload", away)
        assert send(on_disk, upload, 0, ONNX).status_code == 503
    seen = on_disk.http.head(upload, headers=V)
    assert model_of(on_disk, seen)["size_bytes"] == len(ONNX)


def test_many_who_complete_it_make_one(on_disk: Served) -> None:
    upload = begun(on_disk)
    partial = on_disk.parts.partials.open(upload.split("/")[-1])
    partial.write(ONNX)
    partial.close()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: httpx.head(on_disk.url + upload, headers=V), range(4)))
    assert {answer.status_code for answer in answers} <= {200, 423}
    assert len({answer.headers["content-location"] for answer in answers if answer.status_code == 200}) == 1


# --- what is refused


def test_another_offset_is_refused_and_changes_nothing(api: Served) -> None:
    upload = begun(api)
    send(api, upload, 0, ONNX[:10])
    for offset in (0, 9, 11, len(ONNX)):
        answer = send(api, upload, offset, ONNX[offset:])
        assert (answer.status_code, answer.json()["code"]) == (409, "offset_conflict")
    assert offset_of(api, upload) == 10


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0.0, 1.0.0"])
def test_another_version_is_refused(api: Served, version: str | None) -> None:
    upload = begun(api)
    headers = {"Tus-Resumable": version} if version else {}
    for answer in (
        api.http.post("/v1/uploads/models", headers={**headers, "Upload-Length": "5"}),
        api.http.patch(upload, content=b"x", headers={**PART, **headers, "Upload-Offset": "0"})
        if version
        else api.http.patch(upload, content=b"x"),
        api.http.delete(upload, headers=headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (412, "tus_version")
        assert (answer.headers["tus-version"], answer.headers["tus-resumable"]) == ("1.0.0", "1.0.0")
    assert api.http.head(upload, headers=headers).status_code == 412


@pytest.mark.parametrize("sized", [True, False])
def test_more_than_was_announced_is_refused_and_dropped(api: Served, sized: bool) -> None:
    upload = begun(api)
    send(api, upload, 0, ONNX[:10])
    content = ONNX[10:] + b"more"
    answer = send(api, upload, 10, content if sized else iter([content[:1000], content[1000:]]))
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert offset_of(api, upload) == 10


def test_more_than_the_service_takes_is_refused_before_it_is_sent(on_disk: Served) -> None:
    answer = on_disk.http.post("/v1/uploads/models", headers={**V, "Upload-Length": "5001"})
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    begun(on_disk, 5000)


@pytest.mark.parametrize(
    ("headers", "code", "field"),
    [
        ({"Upload-Length": "0"}, "empty_upload", "upload-length"),
        ({"Upload-Length": "-1"}, "invalid_request", "upload-length"),
        ({"Upload-Length": "1e3"}, "invalid_request", "upload-length"),
        ({"Upload-Defer-Length": "1"}, "invalid_request", "upload-length"),
        ({"Upload-Length": "5", "Upload-Metadata": "filename ***"}, "malformed_request", "upload-metadata"),
        ({"Upload-Length": "5", "Upload-Metadata": "filename /w=="}, "malformed_request", "upload-metadata"),
        ({"Upload-Length": "5", "Upload-Metadata": ",,"}, "malformed_request", "upload-metadata"),
        ({"Upload-Length": "5", "Upload-Metadata": "nmae eA=="}, "invalid_request", "nmae"),
        ({"Upload-Length": "5", "Upload-Metadata": "format dGV4dA=="}, "invalid_request", "format"),
        ({"Upload-Length": "5", "Upload-Metadata": "input eA=="}, "invalid_request", "input.0"),
    ],
)
def test_what_cannot_be_begun_is_said(api: Served, headers: dict[str, str], code: str, field: str) -> None:
    answer = api.http.post("/v1/uploads/models", headers={**V, **headers})
    assert answer.json()["code"] == code
    assert (answer.json()["field"] or "").split(".")[0] == field.split(".")[0]


def test_a_part_says_that_it_is_one(api: Served) -> None:
    upload = begun(api)
    answer = api.http.patch(upload, content=b"x", headers={**V, "Upload-Offset": "0"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_bytes_that_are_no_model_are_refused_as_by_a_plain_post_and_again(on_disk: Served) -> None:
    plain = on_disk.http.post("/v1/models", content=b"no model at all").json()
    upload = begun(on_disk, 15)
    for content in (b"no model at all", b""):
        answer = send(on_disk, upload, 15 - len(content), content)
        assert (answer.status_code, answer.json()["code"]) == (plain["status"], plain["code"])
        assert answer.json()["detail"] == plain["detail"]
    assert on_disk.http.head(upload, headers=V).status_code == plain["status"]
    assert files(on_disk) == []


@pytest.mark.parametrize("kind", ["models", "datasets"])
def test_what_is_not_there_is_not_found(api: Served, kind: str) -> None:
    other = begun(api, kind="datasets" if kind == "models" else "models").split("/")[-1]
    for id in ("upl_1", other):
        path = f"/v1/uploads/{kind}/{id}"
        assert api.http.head(path, headers=V).status_code == 404
        assert send(api, path, 0, b"x").json()["code"] == "not_found"
        assert api.http.delete(path, headers=V).json()["code"] == "not_found"


def test_one_owner_has_so_many_open_and_no_more(api: Served) -> None:
    for _ in range(MAX_TRANSFERS):
        upload = begun(api)
    answer = api.http.post("/v1/uploads/models", headers={**V, "Upload-Length": "5"})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_uploads")
    assert api.http.delete(upload, headers=V).status_code == 204
    begun(api)


# --- the extensions


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_a_part_with_its_checksum_is_taken(api: Served, algorithm: str) -> None:
    upload = begun(api)
    first = send(api, upload, 0, ONNX[:1000], **{"Upload-Checksum": checksum(ONNX[:1000], algorithm)})
    assert (first.status_code, offset_of(api, upload)) == (204, 1000)
    assert model_of(api, send(api, upload, 1000, ONNX[1000:]))["size_bytes"] == len(ONNX)


def test_a_part_with_another_checksum_is_dropped(api: Served) -> None:
    upload = begun(api)
    send(api, upload, 0, ONNX[:10])
    answer = send(api, upload, 10, ONNX[10:], **{"Upload-Checksum": checksum(b"other")})
    assert (answer.status_code, answer.json()["code"]) == (460, "checksum_mismatch")
    assert offset_of(api, upload) == 10
    assert model_of(api, send(api, upload, 10, ONNX[10:]))["size_bytes"] == len(ONNX)


def test_a_part_with_a_checksum_that_breaks_off_is_dropped(on_disk: Served) -> None:
    upload = begun(on_disk)
    send(on_disk, upload, 0, ONNX[:10])
    connection = Connection(on_disk, upload, 10, 1000, **{"Upload-Checksum": checksum(ONNX[10:1010])})
    connection.send(ONNX[10:500])
    until(lambda: len(files(on_disk)) == 2)
    assert offset_of(on_disk, upload) == 10
    connection.cut()
    assert (
        model_of(on_disk, sent_when_free(on_disk, upload, 10, ONNX))["sha256"]
        == hashlib.sha256(ONNX).hexdigest()
    )


@pytest.mark.parametrize("value", ["crc32 AAAA", "sha1", "sha1 ***", ""])
def test_a_checksum_that_is_none_is_refused(api: Served, value: str) -> None:
    upload = begun(api)
    answer = send(api, upload, 0, ONNX, **{"Upload-Checksum": value})
    assert (answer.status_code, answer.json()["field"]) in [
        (400, "upload-checksum"),
        (460, "upload-checksum"),
    ]
    assert offset_of(api, upload) == 0


def test_what_was_deleted_is_gone(on_disk: Served) -> None:
    upload = begun(on_disk)
    send(on_disk, upload, 0, ONNX[:10])
    assert on_disk.http.delete(upload, headers=V).status_code == 204
    assert on_disk.http.head(upload, headers=V).status_code == 404
    assert files(on_disk) == []


def test_what_is_deleted_while_it_is_sent_is_gone(on_disk: Served) -> None:
    upload = begun(on_disk)
    connection = Connection(on_disk, upload, 0, len(ONNX))
    connection.send(ONNX[:10])
    until(lambda: offset_of(on_disk, upload) == 10)
    assert on_disk.http.delete(upload, headers=V).status_code == 204
    connection.send(ONNX[10:])
    assert connection._socket.recv(100).startswith(b"HTTP/1.1 404")
    connection.cut()
    assert files(on_disk) == []


def test_it_expires_and_each_part_puts_that_off(tmp_path: Path) -> None:
    with served(tmp_path, upload_ttl_seconds=1000.0) as api:
        upload = begun(api)
        told = parsedate_to_datetime(api.http.head(upload, headers=V).headers["upload-expires"]).timestamp()
        assert abs(told - time.time() - 1000) < 60
        id = upload.split("/")[-1]
        api.parts.records.extend_transfer(id, time.time() + 5)
        answer = send(api, upload, 0, ONNX[:10])
        assert parsedate_to_datetime(answer.headers["upload-expires"]).timestamp() >= told
        api.parts.records.extend_transfer(id, time.time() - 1)
        assert api.http.head(upload, headers=V).status_code == 404


def test_the_service_says_what_it_can_do(on_disk: Served) -> None:
    answer = on_disk.http.options("/v1/uploads/models")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-max-size"] == "5000"
    assert set(answer.headers["tus-extension"].split(",")) == {
        "creation",
        "checksum",
        "expiration",
        "termination",
    }
    assert "sha1" in answer.headers["tus-checksum-algorithm"]
    assert "tus-version" not in on_disk.http.options("/v1/models").headers


def test_a_client_that_cannot_send_patch_says_so(api: Served) -> None:
    upload = begun(api)
    headers = {**PART, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert api.http.post(upload, content=ONNX[:10], headers=headers).status_code == 204
    assert offset_of(api, upload) == 10
    for method, other in (("POST", "GET"), ("GET", "PATCH")):
        wrong = api.http.request(method, upload, headers={**headers, "X-HTTP-Method-Override": other})
        assert wrong.status_code == 405


def test_a_page_of_another_site_cannot_send(api: Served) -> None:
    answer = api.http.post(
        "/v1/uploads/models", headers={**V, "Upload-Length": "5", "Origin": "https://elsewhere.example"}
    )
    assert answer.json()["code"] == "cross_origin"
