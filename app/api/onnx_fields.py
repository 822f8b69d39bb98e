"""Is it ONNX? Answered by walking the outermost fields of the protobuf, without reading what they hold.

ModelProto: 1 ir_version, 2 producer_name, 3 producer_version, 4 domain, 5 model_version, 6 doc_string, 7 graph,
8 opset_import, 14 metadata_props, 20 training_info, 25 functions, 26 configuration (onnx.proto).
"""

import os
from typing import BinaryIO, Final

from winnow.contract.errors import Refusal

VARINT, LENGTH = 0, 2
FIELDS: Final = {
    1: VARINT, 5: VARINT,
    2: LENGTH, 3: LENGTH, 4: LENGTH, 6: LENGTH, 7: LENGTH, 8: LENGTH, 14: LENGTH, 20: LENGTH, 25: LENGTH, 26: LENGTH,
}  # fmt: skip
MAX_FIELDS: Final = 100_000
NEWEST_IR: Final = 1000
GRAPH, IR_VERSION = 7, 1


def check_onnx(file: BinaryIO) -> None:
    """Raises `unknown_format` when the bytes are no ModelProto, `invalid_model` when they are one cut short."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    seen: set[int] = set()
    for _ in range(MAX_FIELDS):
        if file.tell() == size:
            break
        seen.add(_field(file, size, seen))
    missing = {GRAPH: "a graph", IR_VERSION: "an ir_version"}
    for number, what in missing.items():
        if number not in seen:
            raise _invalid(f"it has no field with {what}")


def _field(file: BinaryIO, size: int, seen: set[int]) -> int:
    start = file.tell()
    key = _varint(file, seen)
    number, wire = key >> 3, key & 7
    if FIELDS.get(number) != wire:
        raise _stranger() if not seen else _invalid(f"byte {start} begins no field of a model")
    value = _varint(file, seen)
    if wire == VARINT:
        if number == IR_VERSION and not 0 < value < NEWEST_IR:
            raise _stranger() if not seen else _invalid(f"its ir_version is {value}")
        return number
    if file.tell() + value > size:
        if not seen:
            raise _stranger()
        raise _invalid(
            f"it is cut short: the field at byte {start} needs {file.tell() + value} bytes, the file has {size}"
        )
    file.seek(value, os.SEEK_CUR)
    return number


def _varint(file: BinaryIO, seen: set[int]) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise _invalid("it is cut short") if seen else _stranger()
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise _invalid("a number in it has no end") if seen else _stranger()


def _stranger() -> Refusal:
    return Refusal(
        "unknown_format",
        "The bytes are no format that this service reads. A model is .onnx, a tar or zip of .onnx with its external "
        "data, .pt2, or TorchScript; a dataset is .npz.",
    )


def _invalid(why: str) -> Refusal:
    return Refusal(
        "invalid_model", f"The file begins like ONNX, but {why}. Export it again and upload it whole."
    )
