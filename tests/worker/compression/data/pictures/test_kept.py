"""What was decoded or measured once is known afterwards, as far as there is room."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.pictures import noise
from worker.compression.data.pictures.decoded_rows import DecodedRows, decoded_rows
from worker.compression.data.pictures.stored_sizes import stored_sizes
from worker.compression.data.scratch import Scratch
from worker.compression.machine.threads import in_threads


@settings(max_examples=30, deadline=None)
@given(written=st.lists(st.integers(0, 19), max_size=20))
def test_rows_that_were_written_are_read_and_others_are_not(
    written: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    rows = DecodedRows(folder / "a.rows", 20, (3, 4, 2))
    pixels = [noise(3, 4, 2, seed=row) for row in range(20)]
    list(in_threads(lambda row: rows.write(row, pixels[row]), written))
    for known in (rows, DecodedRows(folder / "a.rows", 20, (3, 4, 2))):
        for row in range(20):
            read = known.read(row)
            assert (read is None) == (row not in written)
            assert read is None or (read == pixels[row]).all()


def test_a_full_disk_is_no_error() -> None:
    rows = DecodedRows(Path("/dev/full"), 2, (2, 2, 1))
    rows.write(1, noise(2, 2, 1)[:, :, None])
    assert rows.read(1) is None


def test_files_of_rows_do_not_outgrow_the_scratch_together(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, "a dataset", max_bytes=1000)
    first = decoded_rows(scratch, "one way", 10, (6, 6, 1))
    assert first is not None
    for row in range(10):
        first.write(row, noise(6, 6, 1)[:, :, None])
    assert decoded_rows(scratch, "one way", 10, (6, 6, 1)) is not None
    assert decoded_rows(scratch, "another way", 20, (6, 6, 1)) is None
    assert decoded_rows(scratch, "another way", 10, (6, 6, 1)) is not None


def test_sizes_are_known_when_they_are_opened_again(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "new", "a dataset", 1000)
    stored_sizes(scratch, "image", 5)[3] = 7, 8
    assert stored_sizes(scratch, "image", 5).tolist() == [[0, 0]] * 3 + [[7, 8], [0, 0]]
    assert not np.asarray(stored_sizes(scratch, "image", 6)).any()
    assert not stored_sizes(None, "image", 2).any()
