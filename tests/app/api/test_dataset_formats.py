"""What a dataset's bytes are."""

import io

import pytest

from app.api.sniff import dataset_format, sniffed
from tests.app.api.conftest import ONNX, zipped
from tests.app.api.test_sniff import tarred
from tests.support.refusals import refusal
from winnow.contract.errors import Refusal

WAV = b"RIFF\x24\0\0\0WAVEfmt "


@pytest.mark.parametrize(
    ("content", "format"),
    [
        (b"\x93NUMPY\x01\0", "npy"),
        (b"PAR1" + bytes(20) + b"PAR1", "parquet"),
        (WAV, "wav"),
        (b"fLaC" + bytes(20), "flac"),
        (b"a,b\n1,2\n", "csv"),
        (b"a;b\r\n1;2\r\n", "csv"),
        (b"\xef\xbb\xbfa\tb\n1\t2\n", "csv"),
        (b'text,label\n"a, ""b""\nc",1\n', "csv"),
        (b"sentence\nGood film, they say\n", "csv"),
        ("wörter,zahl\nä,1\n".encode() * 9000, "csv"),
        (b"a,b\n1,2\n" + b"x" * 200_000 + b",1\n", "csv"),
        (b'{"a": 1}\n{"a": 2}\n', "jsonl"),
        (b'\xef\xbb\xbf{"a": 1}', "jsonl"),
        (b'{"a": "' + b"x" * 100_000 + b'"}\n', "jsonl"),
        (zipped({"a.csv": b"", "tokenizer.json": b""}), "zip"),
        (zipped({"cat/1.JPG": b""}), "zip"),
        (tarred({"a.wav": b""}), "tar"),
    ],
)
def test_datasets_are_told_from_their_bytes_and_are_no_models(content: bytes, format: str) -> None:
    assert dataset_format(io.BytesIO(content)) == format
    assert sniffed(io.BytesIO(content)) == format


@pytest.mark.parametrize(
    "content",
    [
        b"Dear reader, this is prose.\nIt has no columns at all.\n",
        b"a,b\n",
        b"a\0,b\n1,2\n",
        b"a,b\n1,\x012\n",
        b"\xff\xfea,b\n1,2\n",
        b"PAR1" + bytes(20),
        b'{\n "a": 1\n}\n',
        b"{" * 100_000,
        b'{"a":' * 70_000 + b"1" + b"}" * 70_000,
        b"<html>,<body>\n1,2\n",
        b"",
        ONNX,
    ],
)
def test_what_is_no_table_is_refused(content: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        dataset_format(io.BytesIO(content))
    assert caught.value.problem.code in ("unknown_format", "unsafe_archive")


def test_a_model_beside_data_stays_a_model() -> None:
    assert refusal(lambda: sniffed(io.BytesIO(zipped({"m.onnx": ONNX, "a.csv": b""})))) is None
    assert sniffed(io.BytesIO(zipped({"m.onnx": ONNX, "a.csv": b""}))) == "onnx_archive"
