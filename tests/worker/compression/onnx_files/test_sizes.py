"""Bytes of files, and of what each reads of those that others read too."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from worker.compression.onnx_files.sizes import bytes_of, bytes_read_of

FILE_BYTES = 256
PLACES = st.lists(st.tuples(st.integers(0, 63), st.integers(1, 64)), max_size=6)


def saved(path: Path, places: list[tuple[int, int]]) -> Path:
    """A file whose weights are so many float32 from there on, in a file beside it."""
    tensors = []
    for number, (begin, count) in enumerate(places):
        tensor = TensorProto(name=f"w{number}", data_type=TensorProto.FLOAT, dims=[count])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "weights"), ("offset", 4 * begin)):
            tensor.external_data.add(key=key, value=str(value))
        tensors.append(tensor)
    path.write_bytes(helper.make_model(helper.make_graph([], "g", [], [], tensors)).SerializeToString())
    (path.parent / "weights").write_bytes(bytes(FILE_BYTES + 4 * 64))
    return path


@given(places=PLACES)
def test_a_file_counts_each_byte_that_it_reads_once(
    places: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = saved(tmp_path_factory.mktemp("it") / "m.onnx", places)
    read = {number for begin, count in places for number in range(begin, begin + count)}
    assert bytes_read_of(path) == path.stat().st_size + 4 * len(read)


def test_files_together_count_what_lies_beside_them_once_and_whole(tmp_path: Path) -> None:
    one, other = saved(tmp_path / "a.onnx", [(0, 4)]), saved(tmp_path / "b.onnx", [(0, 4), (8, 2)])
    own = one.stat().st_size + other.stat().st_size
    assert bytes_of(one, other) == own + (tmp_path / "weights").stat().st_size
    assert bytes_read_of(one) + bytes_read_of(other) == own + 4 * 4 + 4 * 6
