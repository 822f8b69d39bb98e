"""CSV, JSON lines and Parquet become columns, whatever their bytes are."""

import errno
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.refusals import refusal
from tests.support.tokenizer import archive
from winnow.contract.errors import Refusal
from worker.compression.data.formats.opening import open_table
from worker.compression.data.formats.tables import column_files
from worker.compression.data.table import Files, Ragged, Table, Texts

CAP = 2**26
PNG = b"\x89PNG\r\n\x1a\n"


def opened(folder: Path, content: bytes | str) -> Table:
    path = folder / "data"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_table(path, folder / "scratch", max_unpacked_bytes=CAP)


def values(table: Table) -> dict[str, Any]:
    """Every column as Python has it."""
    found: dict[str, Any] = {}
    for name, column in table.columns.items():
        if isinstance(column, np.ndarray):
            found[name] = column.tolist()
        elif isinstance(column, Texts):
            found[name] = column.texts(range(len(column)))
        elif isinstance(column, Ragged):
            found[name] = [column.row(row).tolist() for row in range(len(column))]
        elif isinstance(column, Files):
            found[name] = [column.content(row) for row in range(len(column))]
    return found


def detail(folder: Path, content: bytes | str) -> str:
    problem = refusal(lambda: opened(folder, content))
    assert problem is not None
    return problem.detail


def test_a_column_of_csv_is_what_all_of_its_values_are(tmp_path: Path) -> None:
    """Blocks are of 4 MiB: the last rows lie in another than the first."""
    rows = [f"{row},{row},{row},true" for row in range(400_000)]
    rows[-1] = "400000,0.5,word,false"
    table = opened(tmp_path, "int,real,text,bool\n" + "\n".join(rows) + "\n")
    columns = table.columns
    assert [table.arrays[name].dtype for name in ("int", "real", "bool")] == [np.int64, np.float64, np.bool_]
    assert (table.arrays["real"][-1], table.arrays["int"][-1]) == (0.5, 400_000)
    assert isinstance(columns["text"], Texts)
    assert columns["text"].texts(np.array([0, 399_999])) == ["0", "word"]


def test_quotes_delimiters_and_empty_values_of_csv(tmp_path: Path) -> None:
    table = opened(tmp_path, 'a;b;c\r\n1;"x; ""y""\nz";\r\n\r\n2;;4\r\n')
    assert values(table) == {
        "a": [1, 2],
        "b": ['x; "y"\nz', ""],
        "c": [pytest.approx(float("nan"), nan_ok=True), 4.0],
    }


def test_rows_of_csv_that_cannot_be_read_are_counted_and_named(tmp_path: Path) -> None:
    table = opened(tmp_path, b"a,b\n1,2\n\n3\n4,\xff,6\n7,\xff\n8,\0\n9,10\n")
    assert values(table)["a"] == [1, 9]
    assert table.skipped == 4
    assert [fault.split(":")[0].split(", ")[1] for fault in table.faults] == [
        "row 3",
        "row 4",
        "row 5",
        "row 6",
    ]


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "i": st.integers(-(2**62), 2**62),
                "f": st.floats(allow_nan=False, allow_infinity=False),
                "t": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9),
                "b": st.booleans(),
                "r": st.lists(st.integers(0, 9), min_size=1, max_size=4),
            }
        ),
        min_size=1,
        max_size=9,
    )
)
def test_rows_are_the_same_in_json_lines_and_parquet(
    rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("data")
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    parquet = open_table(folder / "a.parquet", folder / "scratch", max_unpacked_bytes=CAP)
    jsonl = opened(folder, "".join(json.dumps(row) + "\n" for row in rows))
    expected = {name: [row[name] for row in rows] for name in rows[0]}
    assert values(jsonl) == expected
    assert values(parquet) == expected


def test_json_lines_turn_what_they_turn_into(tmp_path: Path) -> None:
    rows = '{"a": 1, "b": true, "c": 1}\n{"a": 1.5, "b": 2, "c": "x"}\n{"a": null, "c": 0.5}\n'
    table = opened(tmp_path, rows)
    assert [table.arrays[name].dtype.name for name in "ab"] == ["float64", "float64"]
    assert np.isnan(table.arrays["a"][2])
    assert values(table)["c"] == ["1", "x", "0.5"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{bad", "no JSON"),
        (b"[1]", "no object"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b'{"a": "\xff"}', "no UTF-8"),
        (b'{"a": "\\ud800"}', "no UTF-8"),
        (b'{"a": "\\u0000"}', "NUL"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no JSON"),
    ],
)
def test_lines_that_cannot_be_read_are_named(line: bytes, says: str, tmp_path: Path) -> None:
    table = opened(tmp_path, b'{"a": "x"}\n' + line + b'\n{"a": "y"}\n')
    assert values(table)["a"] == ["x", "y"]
    assert table.skipped == 1
    assert says in table.faults[0]
    assert "line 2" in table.faults[0]


def test_parquet_as_hugging_face_writes_it(tmp_path: Path) -> None:
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    content = {
        "image": [{"bytes": PNG + bytes([row]), "path": None} for row in range(3)],
        "label": [0, 1, 0],
        "box": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        "when": pa.array([0, 1, 2], pa.timestamp("s")),
    }
    pq.write_table(pa.table(content).replace_schema_metadata(metadata), tmp_path / "a.parquet")
    table = open_table(tmp_path / "a.parquet", tmp_path / "scratch", max_unpacked_bytes=CAP)
    image = table.columns["image"]
    assert isinstance(image, Files)
    assert (image.holds, image.content(2), image.place(2)) == ("image", PNG + b"\2", "row 2 of 'image'")
    assert table.classes == ["cat", "dog"]
    assert table.arrays["box"].shape == (3, 2)
    assert table.notes == ["Column 'when' is timestamp[ms], which is not read."]


def test_files_of_one_kind_in_an_archive_are_one_dataset_in_the_order_of_their_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("data/2.csv", "a\n3\n4.5\n")
        archive.writestr("data/1.csv", "a\n1\n2\n")
        archive.writestr("README.md", "x")
        archive.writestr("__MACOSX/._1.csv", "x")
        archive.writestr("tokenizer.json", "{}")
    table = open_table(tmp_path / "a.zip", tmp_path / "scratch", max_unpacked_bytes=CAP)
    assert values(table) == {"a": [1, 2, 3, 4.5]}
    assert table.tokenizer == b"{}"


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"a.csv": "a\n1\n", "b.jsonl": "{}"}, "csv and jsonl"),
        ({"README.md": "x"}, "no table"),
        ({"a.csv": "a\n1\n", "b.csv": "b\n1\n"}, "header"),
        ({"a.csv": "a\n1\n", "x/tokenizer.json": "{}", "tokenizer.json": "{}"}, "2 tokenizers"),
    ],
)
def test_archives_that_are_no_dataset_say_so(members: dict[str, str], says: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(Refusal, match=says):
        open_table(tmp_path / "a.zip", tmp_path / "scratch", max_unpacked_bytes=CAP)


def test_a_single_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6.0).reshape(3, 2))
    table = open_table(tmp_path / "a.npy", tmp_path / "scratch", max_unpacked_bytes=CAP)
    assert values(table) == {"x": [[0, 1], [2, 3], [4, 5]]}
    content = (tmp_path / "a.npy").read_bytes()
    assert "48 bytes" not in detail(tmp_path, content[:-1])
    assert "has 175 bytes" in detail(tmp_path, content[:-1])


def test_rows_by_offsets(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(5), x_offsets=np.array([0, 2, 2, 5]), y=np.arange(3))
    table = open_table(tmp_path / "a.npz", tmp_path / "scratch", max_unpacked_bytes=CAP)
    assert values(table) == {"x": [[0, 1], [], [2, 3, 4]], "y": [0, 1, 2]}


@pytest.mark.parametrize("offsets", [[0, 2, 6], [1, 5], [0, 3, 2, 5], [0.0, 5.0], [[0, 5]], []])
def test_offsets_that_do_not_fit_are_refused(offsets: list[Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(5), x_offsets=np.array(offsets))
    with pytest.raises(Refusal, match="x_offsets"):
        open_table(tmp_path / "a.npz", tmp_path / "scratch", max_unpacked_bytes=CAP)


def test_a_disk_that_is_full_is_not_blamed_on_the_parquet_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"x": [1.0, 2.0]}), file)
    monkeypatch.setattr(column_files.ColumnFiles, "_write", full)
    with pytest.raises(OSError, match="no space left"):
        open_table(file, tmp_path / "scratch", max_unpacked_bytes=2**20)


def test_broken_parquet_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": list(range(1000)), "s": ["x"] * 1000}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    rng = np.random.default_rng(0)
    outcomes = set()
    for cut in rng.integers(4, len(content), 60):
        broken = bytearray(content)
        broken[cut] ^= 0xFF
        for number, candidate in enumerate((bytes(broken), content[:cut] + content[-8:])):
            folder = tmp_path / f"{cut}-{number}"
            folder.mkdir(exist_ok=True)
            problem = refusal(lambda folder=folder, candidate=candidate: opened(folder, candidate))  # type: ignore[misc]
            outcomes.add(problem and problem.code)
    assert outcomes <= {None, "invalid_dataset", "unsafe_archive"}
    assert "invalid_dataset" in outcomes


def test_what_a_dictionary_repeats_is_bounded(tmp_path: Path) -> None:
    """1,000 rows of 5 MB are 5 GB; the file has 200 KB."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["x" * 5_000_000]))
    pq.write_table(pa.table({"s": texts}), tmp_path / "a.parquet")
    with pytest.raises(Refusal, match="unpacks to more"):
        open_table(tmp_path / "a.parquet", tmp_path / "scratch", max_unpacked_bytes=CAP)
    assert not list((tmp_path / "scratch").iterdir()), "nothing half-written stays"


@pytest.mark.parametrize(("start", "end"), [(b"a,b\n", b""), (b'a,b\n"', b""), (b'{"a": "', b'"}\n')])
def test_a_line_without_end_is_refused_in_bounded_memory(start: bytes, end: bytes, tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "data"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(2**29)  # four times the memory that is allowed
        file.seek(0, 2)
        file.write(end)
    tracemalloc.start()
    pool = pa.default_memory_pool()
    with pytest.raises(Refusal, match="longer than"):
        open_table(path, tmp_path / "scratch", max_unpacked_bytes=CAP)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**27
    assert pool.bytes_allocated() < 2**27  # Arrow reads ahead: some 16 blocks of 4 MiB


def test_headers_that_cannot_be(tmp_path: Path) -> None:
    assert "named 'a'" in detail(tmp_path, "a,a\n1,2\n")
    assert "UTF-8" in detail(tmp_path, b"a\xff,b\n1,2\n")
    assert values(opened(tmp_path, ",b\n1,2\n")) == {"unnamed 1": [1], "b": [2]}


@pytest.mark.parametrize(
    ("names", "says"),
    [(["A.csv", "a.csv"], "more than once"), ([f"{n}.csv" for n in range(10_001)], "10001 members")],
)
def test_tables_are_few_and_differ_by_more_than_case(names: list[str], says: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "data.zip", dict.fromkeys(names, "a,b\n1,2\n"))
    problem = refusal(lambda: open_table(path, tmp_path / "scratch", max_unpacked_bytes=2**30))
    assert problem is not None
    assert problem.code == "unsafe_archive"
    assert says in problem.detail
