"""What numpy writes is read; nothing else is, and numpy reads none of it."""

import io
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.compression.data.formats.npy_header import BadHeader, HoldsPickles, parse_header, read_header

DTYPES = [
    *("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"),
    *(">i4", ">f8", "U5", ">U3", "S7"),
]


def text(descr: str = "'<f4'", order: str = "False", shape: str = "(3, 4)", end: str = ", }") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}{end}"


@settings(deadline=None)
@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 4), max_size=6),
    st.booleans(),
    st.sampled_from([(1, 0), (2, 0)]),
)
def test_what_numpy_writes_is_read(
    dtype: str, shape: list[int], fortran: bool, version: tuple[int, int]
) -> None:
    array = np.zeros(shape, dtype, order="F" if fortran else "C")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version)
    header = read_header(io.BytesIO(buffer.getvalue()))
    assert (header.dtype, header.shape) == (array.dtype, array.shape)
    assert header.size_bytes == len(buffer.getvalue())
    assert header.fortran == (array.flags.f_contiguous and not array.flags.c_contiguous)


@pytest.mark.parametrize(
    "header",
    [
        text("[('a', '<f4')]"),
        text("'<V4'"),
        text("'<M8[s]'"),
        text("'<f3'"),
        text("'=f4'"),
        text("'f4,f4'"),
        text("'<U99999'"),
        text("'<U0'"),
        text(order="1"),
        text(shape="(-4,)"),
        text(shape="(3 4)"),
        text(shape="(3,,4)"),
        text(shape="3"),
        text(shape="[3]"),
        text(shape="(" + "9" * 5000 + ",)"),
        text(shape="(" + "1, " * 33 + ")"),
        text(shape="(" + "9" * 19 + ", 2)"),
        text(shape="(2147483648, 0)"),
        text(end="} or __import__('os')"),
        text(end=", 'more': 1}"),
        "{" * 4000,
        "",
    ],
)
def test_anything_else_is_refused(header: str) -> None:
    with pytest.raises(BadHeader):
        parse_header(header, 0)


@pytest.mark.parametrize("descr", ["'|O'", "'O'", "'|O8'"])
def test_objects_are_pickles(descr: str) -> None:
    with pytest.raises(HoldsPickles):
        parse_header(text(descr), 0)


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 130))
def test_changed_bytes_are_refused_or_say_a_shape_of_bounded_size(junk: bytes, at: int) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.zeros((3, 4), np.float32))
    content = buffer.getvalue()
    try:
        header: Any = read_header(io.BytesIO(content[:at] + junk + content[at:]))
    except (BadHeader, HoldsPickles):
        return
    assert math.prod(header.shape) <= 2**56


def test_a_long_header_is_refused_by_its_length() -> None:
    class Counted(io.BytesIO):
        most = 0

        def read(self, size: int | None = -1) -> bytes:
            self.most = max(self.most, size or 0)
            return super().read(size)

    file = Counted(b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + b" " * 10_000)
    with pytest.raises(BadHeader):
        read_header(file)
    assert file.most <= 8
