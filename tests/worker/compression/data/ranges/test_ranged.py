"""Whatever a dataset is, its rows are the same read through ranges as from the whole file, and cost what they take."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.ranged import Lender, lending
from winnow.contract.errors import Refusal
from worker.compression.data.formats.opening import open_table
from worker.compression.data.formats.tables import row_groups
from worker.compression.data.ranges import ranged, ranged_array
from worker.compression.data.ranges.ranged import opened, ranges_of, whole
from worker.compression.data.table import Boxes, Column, Files, Numbers, Ragged, Table, Texts
from worker.compression.onnx_files.sizes import sha256_of

ROWS, BLOCK = 260, 512
RNG = np.random.default_rng(7)


@pytest.fixture
def lender(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lender]:
    """Small blocks, and nothing so small that it is fetched as a whole."""
    for module in (ranged_array, row_groups):
        monkeypatch.setattr(module, "WHOLE_BYTES", 4096)
    monkeypatch.setattr(ranged, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(ranged, "MAX_ASKED_BYTES", 8 * BLOCK)
    ranges_of.cache_clear()
    with lending() as lender:
        yield lender
    ranges_of.cache_clear()


def pixels(row: int) -> bytes:
    """Bytes that begin like a PNG, and are as long as no other's."""
    return b"\x89PNG\r\n\x1a\n" + np.random.default_rng(row).bytes(700 + row)


def npy(file: Path) -> None:
    np.save(file, RNG.normal(size=(ROWS, 40)).astype(np.float32))


def fortran(file: Path) -> None:
    np.save(file, np.asfortranarray(RNG.normal(size=(ROWS, 40))))


def npz(file: Path) -> None:
    lengths = RNG.integers(1, 30, ROWS)
    np.savez(
        file,
        x=RNG.normal(size=(ROWS, 5, 9)),
        labels=np.arange(ROWS),
        words=RNG.normal(size=(int(lengths.sum()), 7)),
        words_offsets=np.concatenate([[0], np.cumsum(lengths)]),
    )


def packed_npz(file: Path) -> None:
    np.savez_compressed(file, x=RNG.integers(0, 9, (ROWS, 30)), labels=np.arange(ROWS))


def pictures_zip(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for row in range(ROWS):
            archive.writestr(f"{row % 3}/{row:04}.png", pixels(row), compress_type=8 * (row % 2))


def pictures_tar(file: Path) -> None:
    with tarfile.open(file, "w") as archive:
        for row in range(ROWS):
            entry = tarfile.TarInfo(f"{row % 3}/{row:04}.png")
            entry.size = len(pixels(row))
            archive.addfile(entry, io.BytesIO(pixels(row)))


def parquet(file: Path) -> None:
    columns: dict[str, Any] = {
        "image": pa.array([{"bytes": pixels(row), "path": None} for row in range(ROWS)]),
        "text": [f"{row} " * 400 for row in range(ROWS)],
        "label": list(range(ROWS)),
        "some": [None if row == 7 else "word" * 30 + str(row) for row in range(ROWS)],
        "scores": [[row / 7] * 30 for row in range(ROWS)],
    }
    pq.write_table(pa.table(columns), file, row_group_size=11, use_dictionary=False, compression="none")


def csv(file: Path) -> None:
    file.write_text("a,b\n" + "".join(f"{row},word{row}\n" for row in range(ROWS)))


KINDS: dict[str, tuple[Callable[[Path], None], str | None]] = {
    "whole.npy": (npy, "x"),
    "fortran.npy": (fortran, None),
    "some.npz": (npz, "x"),
    "ragged.npz": (npz, "words"),
    "packed.npz": (packed_npz, None),
    "pictures.zip": (pictures_zip, "image"),
    "pictures.tar": (pictures_tar, "image"),
    "rows.parquet": (parquet, "image"),
    "texts.parquet": (parquet, "text"),
    "table.csv": (csv, None),
}


def made(name: str, folder: Path) -> Path:
    file = folder / name
    KINDS[name][0](file)
    return file


def table(path: Path, scratch: Path) -> Table:
    return open_table(path, scratch, max_unpacked_bytes=2**30)


def values(column: Column, rows: list[int]) -> list[Any]:
    match column:
        case Numbers():
            return [
                np.asarray(column[np.array(rows)]).tolist(),
                np.asarray(column[rows[0] : rows[-1]]).tolist(),
            ]
        case Ragged():
            return [column.row(row).tolist() for row in rows]
        case Files():
            return [column.content(row) for row in rows]
        case Texts():
            present = [
                row for row in rows if row not in set(np.asarray(getattr(column, "missing", ())).tolist())
            ]
            return column.texts(np.array(present, np.int64))
        case Boxes():
            raise AssertionError("there are none")


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_any_rows_are_those_of_the_whole_file(lender: Lender, tmp_path: Path, name: str, seed: int) -> None:
    file = made(name, tmp_path)
    lent = table(lender.lend(file, tmp_path / "lent"), tmp_path / "of lent")
    same = table(file, tmp_path / "of whole")
    assert list(lent.columns) == list(same.columns)
    assert (lent.classes, lent.notes, lent.source) == (same.classes, same.notes, same.source)
    rng = np.random.default_rng(seed)
    for _ in range(4):
        rows = sorted(int(row) for row in rng.choice(ROWS, 5, replace=False))
        for key, column in same.columns.items():
            assert len(lent.columns[key]) == len(column)
            assert values(lent.columns[key], rows) == values(column, rows), key


@pytest.mark.parametrize("name", [name for name, (_, column) in KINDS.items() if column is not None])
def test_a_few_rows_cost_a_few_blocks(lender: Lender, tmp_path: Path, name: str) -> None:
    file = made(name, tmp_path)
    path = lender.lend(file, tmp_path / "lent")
    column = table(path, tmp_path / "of lent").columns[KINDS[name][1] or ""]
    before = lender.bytes_of(path)
    for row in (20, 21, 200):
        match column:
            case Numbers():
                assert column[row : row + 1].shape == (1, *column.shape[1:])
            case Ragged():
                column.row(row)
            case Files():
                assert column.content(row).startswith(b"\x89PNG")
            case Texts():
                column.texts(np.array([row]))
    assert 0 < lender.bytes_of(path) - before < 0.3 * file.stat().st_size
    assert lender.bytes_of(path) < 0.8 * file.stat().st_size


def test_what_files_are_is_not_asked_of_each_row_group_anew(lender: Lender, tmp_path: Path) -> None:
    """A picture that is broken is one row that cannot be read, also where it is the first of its group."""
    file = tmp_path / "rows.parquet"
    pictures = [pixels(row) for row in range(30)]
    pictures[10] = b"broken" * 200
    rows = pa.table({"image": pictures})
    with pq.ParquetWriter(file, rows.schema, compression="none") as writer:
        for start in (0, 10, 20):
            writer.write_table(rows.slice(start, 10))
    column = table(lender.lend(file, tmp_path / "lent"), tmp_path / "of lent").columns["image"]
    assert isinstance(column, row_groups.GroupedFiles)
    assert [column.content(row) for row in range(30)] == pictures


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint64", "bool"])
def test_rows_are_indexed_by_numbers_of_any_type(lender: Lender, tmp_path: Path, dtype: str) -> None:
    file = made("whole.npy", tmp_path)
    column = table(lender.lend(file, tmp_path / "lent"), tmp_path / "of lent").columns["x"]
    assert isinstance(column, ranged_array.RangedArray)
    rows = np.arange(len(column)) % 3 == 0 if dtype == "bool" else np.array([1, 7, 200], dtype)
    assert np.array_equal(column[rows], np.load(file)[rows])


def test_what_takes_it_for_an_array_gets_all_of_it(lender: Lender, tmp_path: Path) -> None:
    file = made("whole.npy", tmp_path)
    column = table(lender.lend(file, tmp_path / "lent"), tmp_path / "of lent").columns["x"]
    assert not isinstance(column, np.ndarray)
    assert np.array_equal(np.asarray(column), np.load(file))
    assert np.mean(column) == pytest.approx(np.load(file).mean())


def test_it_is_no_file_for_whoever_does_not_know(lender: Lender, tmp_path: Path) -> None:
    """So nobody reads the holes as zeros."""
    file = made("whole.npy", tmp_path)
    path = lender.lend(file, tmp_path / "lent")
    with pytest.raises(IsADirectoryError):
        path.open("rb")
    assert sha256_of(path) == sha256_of(file)
    assert whole(path).read_bytes() == file.read_bytes()
    assert whole(file) == file


def test_from_front_to_back_more_is_asked_for_at_a_time_and_nothing_twice(
    lender: Lender, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(RNG.bytes(64 * BLOCK + 3))
    path = lender.lend(file, tmp_path / "lent")
    with opened(path) as stream:
        assert stream.read() == file.read_bytes()
        stream.seek(5)
        assert stream.read(3) == file.read_bytes()[5:8]
    assert lender.bytes_of(path) == file.stat().st_size
    assert len(lender.fetched[path]) < 20


@pytest.mark.parametrize("name", KINDS)
def test_a_store_that_has_other_bytes_is_not_blamed_on_the_dataset(
    lender: Lender, tmp_path: Path, name: str
) -> None:
    path = lender.lend(made(name, tmp_path), tmp_path / "lent")

    def fails(path: Path, start: int, end: int) -> None:
        raise Refusal("storage_unavailable", "other bytes")

    ranged.ask(fails)
    with pytest.raises(Refusal) as refused:
        table(path, tmp_path / "of lent").columns["image"].content(0)
    assert refused.value.problem.code == "storage_unavailable"


def test_an_index_that_leads_out_of_the_file_is_not_believed(lender: Lender, tmp_path: Path) -> None:
    file = made("pictures.tar", tmp_path)
    path = lender.lend(file, tmp_path / "lent")
    np.savez(
        path / "index.npz", names=np.frombuffer(b"0/a.png\0", np.uint8), places=[[0, 2**50, 2**50, 0, -1]]
    )
    (path / "index.npz").rename(path / "index")
    assert len(table(path, tmp_path / "of lent").columns["image"]) == ROWS
