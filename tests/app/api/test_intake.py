"""Uploads over real HTTP: raw, as a form, cut off, too large, damaged."""

import base64
import hashlib
import json
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from app.api.digest import SentDigests
from app.storage.local_blobs import LocalBlobs
from tests.support.refusals import refusal
from tests.support.served import Served, served


def test_a_raw_body_is_stored_under_its_hash(api: Served, onnx: bytes) -> None:
    answer = api.http.post("/v1/models", params={"name": "lenet"}, content=onnx)
    sha256 = hashlib.sha256(onnx).hexdigest()
    assert (answer.status_code, answer.json()["sha256"]) == (201, sha256)
    assert answer.headers["etag"] == f'"{sha256}"'
    assert answer.headers["location"] == f"/v1/models/{answer.json()['id']}"
    assert (answer.json()["name"], answer.json()["state"]) == ("lenet", "inspecting")
    assert [wake.id for wake in api.queue.published] == [answer.json()["id"]]


def test_the_same_bytes_again_are_the_same_model_however_they_come(api: Served, onnx: bytes) -> None:
    first = api.http.post("/v1/models", content=onnx)
    again = api.http.post("/v1/models", files={"file": ("other.onnx", onnx)})
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


@pytest.mark.parametrize("order", [["name", "file"], ["file", "name"]])
def test_fields_of_a_form_may_stand_before_or_after_the_file(
    api: Served, onnx: bytes, order: list[str]
) -> None:
    parts = {"name": (None, "from the form"), "file": ("dir/ignored.onnx", onnx)}
    answer = api.http.post("/v1/models", files=[(name, parts[name]) for name in order])  # type: ignore[misc]
    assert (answer.status_code, answer.json()["name"]) == (201, "from the form")


def test_without_a_name_the_file_gives_it(api: Served, onnx: bytes) -> None:
    answer = api.http.post("/v1/models", files={"file": ("../so/résnet\n20.onnx", onnx)})
    assert answer.json()["name"].startswith("résnet")
    assert answer.json()["name"].endswith("20")


def test_a_declaration_comes_as_a_part(api: Served, npz: bytes) -> None:
    declaration = {"inputs": {"image": {"array": "x", "scale": 0.5}}}
    files = {"declaration": (None, json.dumps(declaration)), "file": ("data.npz", npz)}
    answer = api.http.post("/v1/datasets", files=files)
    assert answer.status_code == 201
    assert answer.json()["declaration"]["inputs"]["image"]["scale"] == 0.5


def test_a_declaration_that_does_not_fit_names_its_field(api: Served, npz: bytes) -> None:
    files = {"declaration": (None, '{"inputs": {"x": {"scale": 1}}}'), "file": ("data.npz", npz)}
    answer = api.http.post("/v1/datasets", files=files)
    assert (answer.status_code, answer.json()["field"]) == (422, "declaration.inputs.x.array")


def test_a_declaration_that_is_no_json_is_named(api: Served, npz: bytes) -> None:
    answer = api.http.post("/v1/datasets", params={"declaration": "{"}, content=npz)
    assert (answer.status_code, answer.json()["field"]) == (400, "declaration")
    assert "The body" not in answer.json()["detail"]


def test_a_field_that_a_form_does_not_have_is_refused(api: Served, onnx: bytes) -> None:
    answer = api.http.post("/v1/models", files={"nmae": (None, "x"), "file": ("m.onnx", onnx)})
    assert (answer.status_code, answer.json()["field"]) == (422, "nmae")


@pytest.mark.parametrize("files", [None, {"name": (None, "x")}, {"file": ("m.onnx", b"")}])
def test_nothing_is_no_upload(api: Served, files: dict[str, tuple[str | None, str | bytes]] | None) -> None:
    answer = api.http.post("/v1/models", files=files)
    assert (answer.status_code, answer.json()["code"]) == (422, "empty_upload")


@pytest.mark.parametrize("as_form", [False, True])
@pytest.mark.parametrize("sized", [False, True])
def test_more_than_the_limit_is_refused_and_leaves_nothing(
    tmp_path: Path, onnx: bytes, sized: bool, as_form: bool
) -> None:
    large = onnx + bytes(3 * 2**20 if as_form else 200)
    with served(tmp_path, blobs=LocalBlobs(tmp_path / "blobs"), max_upload_bytes=100) as api:
        if as_form:
            answer = api.http.post("/v1/models", files={"file": ("m.onnx", large)})
        else:
            answer = api.http.post("/v1/models", content=large if sized else iter([large[:50], large[50:]]))
        assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
        assert (
            "at most 100 bytes; its operator sets that with WINNOW_MAX_UPLOAD_BYTES"
            in answer.json()["detail"]
        )
        assert kept(tmp_path) == []


def test_exactly_the_limit_is_taken(tmp_path: Path, onnx: bytes) -> None:
    with served(tmp_path, max_upload_bytes=len(onnx)) as api:
        assert api.http.post("/v1/models", content=onnx).status_code == 201
        assert api.http.post("/v1/models", files={"file": ("m.onnx", onnx)}).status_code == 200


def test_a_client_that_hangs_up_leaves_nothing(tmp_path: Path) -> None:
    with served(tmp_path, blobs=LocalBlobs(tmp_path / "blobs")) as api:
        with socket.create_connection(("127.0.0.1", api.http.base_url.port or 0)) as connection:
            connection.sendall(
                b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
                + bytes(70_000)
            )
            wait_until(lambda: kept(tmp_path) != [])
        wait_until(lambda: kept(tmp_path) == [])
        assert api.http.get("/v1/models").json()["items"] == []


def test_a_content_digest_that_fits_is_no_obstacle(api: Served, onnx: bytes) -> None:
    headers = {"Content-Digest": f"{member('sha-256', onnx)}, {member('sha-512', onnx)}, md5=:AAAA:"}
    assert api.http.post("/v1/models", content=onnx, headers=headers).status_code == 201


@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
def test_another_digest_is_refused_and_leaves_nothing(
    tmp_path: Path, onnx: bytes, header: str, algorithm: str
) -> None:
    with served(tmp_path, blobs=LocalBlobs(tmp_path / "blobs")) as api:
        headers = {header: member(algorithm, b"something else")}
        answer = api.http.post("/v1/models", content=onnx, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "digest_mismatch")
        assert kept(tmp_path) == []


@given(st.text(st.characters(max_codepoint=255), min_size=1))
def test_a_digest_header_is_read_or_refused(text: str) -> None:
    headers = Headers(raw=[(b"content-digest", text.encode("latin-1"))])
    problem = refusal(lambda: SentDigests(headers).check())
    assert problem is None or problem.code in ("malformed_request", "digest_mismatch")


def test_a_compressed_body_is_refused(api: Served, onnx: bytes) -> None:
    answer = api.http.post("/v1/models", content=onnx, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("boundary", "body"),
    [
        ("", b""),
        ("; boundary=b", b"--b\r\nContent-Disposition: form-data; name=file\r\n\r\nno end"),
        ("; boundary=b", b"junk"),
        ("; boundary=" + "b" * 300, b""),
        ("; boundary=b", b"--b\r\n: no name\r\n\r\n--b--"),
    ],
)
def test_a_broken_form_is_a_problem(api: Served, boundary: str, body: bytes) -> None:
    headers = {"Content-Type": f"multipart/form-data{boundary}"}
    answer = api.http.post("/v1/models", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) in [
        (400, "malformed_request"),
        (422, "invalid_request"),
    ]


def test_a_broker_that_is_away_loses_nothing(tmp_path: Path, onnx: bytes) -> None:
    with served(tmp_path) as api:
        api.queue.publish = lambda wake: False  # type: ignore[method-assign]
        answer = api.http.post("/v1/models", content=onnx)
        assert answer.status_code == 201
        waiting = api.parts.records.republish("inspect", 9, time.time(), time.time())
        assert [wake.id for wake in waiting] == [answer.json()["id"]]


def member(algorithm: str, content: bytes) -> str:
    digest = hashlib.new(algorithm.replace("-", ""), content).digest()
    return f"{algorithm}=:{base64.b64encode(digest).decode()}:"


def kept(data_dir: Path) -> list[Path]:
    return [file for file in (data_dir / "blobs").rglob("*") if file.is_file() and file.name != ".lock"]


def wait_until(holds: object, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)
