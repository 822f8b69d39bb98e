"""Check what a file has to pass before a library works on it. Nothing here computes, allocates or follows a path.

The order is that of what each check may rely on: size, protobuf, how much there is, then tensors and operators.
"""

from pathlib import Path
from typing import Final

import onnx
from google.protobuf.message import DecodeError

from winnow.contract.errors import Refusal
from worker.compression.ir.known_operators import check_operators
from worker.compression.upload_gate.functions import check_expansion
from worker.compression.upload_gate.tensors import check_tensors

MAX_PROTOBUF_BYTES: Final = 2**31 - 1
PICKLE: Final = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def check_onnx(path: Path, external: Path | None = None) -> None:
    """Refuse a hostile or broken `.onnx`. `external` is the folder of its external data, None if it may have none.

    Raises `Refusal`: `invalid_model`, `custom_operator`, `unsafe_external_data`, `model_too_complex`,
    `pickle_refused`.
    """
    model = _parsed(path)
    check_expansion(model)
    check_tensors(model, external)
    check_operators(model)


def _parsed(path: Path) -> onnx.ModelProto:
    size = path.stat().st_size
    if size > MAX_PROTOBUF_BYTES:
        raise Refusal(
            "invalid_model",
            f"An ONNX file ends at 2 GiB, this one has {size} bytes. Save the weights as external data and upload "
            "both as a tar or zip.",
        )
    content = path.read_bytes()
    _check_magic(content)
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise Refusal(
            "invalid_model", "The bytes are not an ONNX model, or the file was cut short."
        ) from error
    _check_complete(model)
    _check_known(model)
    return model


def _check_magic(content: bytes) -> None:
    start = content[:512].lstrip().lower()
    if not content:
        raise Refusal("invalid_model", "The file is empty.")
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise Refusal(
            "invalid_model", "This is a web page, not an ONNX model. Download the model itself, then upload."
        )
    if start.startswith(b"version https://git-lfs"):
        raise Refusal(
            "invalid_model", "This is a Git LFS pointer, not an ONNX model. Run `git lfs pull`, then upload."
        )
    if content.startswith(PICKLE):
        raise Refusal(
            "pickle_refused", "This is a Python pickle. Export the model to ONNX or with torch.export."
        )


def _check_known(model: onnx.ModelProto) -> None:
    """Refuse unknown fields: ONNX Runtime's own parser, perhaps of a newer ONNX, must read what is checked here."""
    size = model.ByteSize()
    model.DiscardUnknownFields()
    if model.ByteSize() != size:
        raise Refusal(
            "invalid_model",
            f"The file has fields that ONNX {onnx.__version__} does not know. Export it for an older version of ONNX.",
        )


def _check_complete(model: onnx.ModelProto) -> None:
    missing = [
        name
        for name, present in (
            ("graph", model.HasField("graph")),
            ("nodes", len(model.graph.node)),
            ("outputs", len(model.graph.output)),
            ("opset_import", len(model.opset_import)),
        )
        if not present
    ]
    if missing:
        raise Refusal(
            "invalid_model",
            f"The file has no {' and no '.join(missing)}: it is not an ONNX model, or it was cut short.",
        )
