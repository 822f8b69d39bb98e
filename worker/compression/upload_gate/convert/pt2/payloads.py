"""Weights and constants: raw bytes in a member of the archive, seen through sizes, strides and an offset."""

import math

from winnow.contract.errors import Refusal
from worker.compression.upload_gate.convert.pt2.archive import PAYLOAD, invalid, payload
from worker.compression.upload_gate.convert.pt2.schema.program import PayloadConfig, PayloadMeta
from worker.compression.upload_gate.convert.pt2.schema.tensors import ITEM_BYTES, TensorMeta, fixed
from worker.compression.upload_gate.convert.zipped import Zipped


def check_payloads(files: Zipped, configs: dict[str, PayloadConfig], *, max_bytes: int) -> None:
    """Refuse tensors that reach beyond their bytes, bytes of no tensor, and more values than `max_bytes` hold.

    Raises `Refusal` `invalid_model`, `unsafe_archive`.
    """
    dtypes: dict[str, int] = {}
    room = max_bytes
    for kind, config in configs.items():
        for name, meta in config.config.items():
            member = payload(kind, meta.path_name)
            room -= _checked_bytes(files, member, name, meta)
            if dtypes.setdefault(member, meta.tensor_meta.dtype) != meta.tensor_meta.dtype:
                raise invalid(f"{member} in the archive holds values of two types.")
    if room < 0:
        raise Refusal("unsafe_archive", f"The weights have more than the {max_bytes} bytes allowed.")
    if strangers := [name for name in files.names if PAYLOAD.fullmatch(name) and name not in dtypes]:
        raise invalid(f"{strangers[0]} in the archive belongs to no weight.")


def _checked_bytes(files: Zipped, member: str, name: str, meta: PayloadMeta) -> int:
    """Count the bytes of the tensor's values, each counted where it stands in the tensor."""
    if member not in files.names:
        raise invalid(f"The archive has no {member}, where {name[:100]} should be.")
    try:
        values, reach = _extent(meta.tensor_meta)
    except ValueError as error:
        raise invalid(f"{name[:100]} in the archive: {error}.") from error
    item = ITEM_BYTES[meta.tensor_meta.dtype]
    size = files.size(member)
    if size % item or reach * item > size or (values == 0) != (size == 0):
        raise invalid(f"{name[:100]} needs {reach * item} bytes; {member} in the archive has {size}.")
    return values * item


def _extent(meta: TensorMeta) -> tuple[int, int]:
    """Count the values of the tensor, and the elements of its storage it reaches over."""
    sizes, strides = [fixed(size) for size in meta.sizes], [fixed(stride) for stride in meta.strides]
    offset = fixed(meta.storage_offset)
    if len(sizes) != len(strides) or min([offset, *sizes, *strides]) < 0:
        raise ValueError("its sizes and strides do not fit")
    values = math.prod(sizes)
    last = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    return values, offset + last + 1 if values else 0
