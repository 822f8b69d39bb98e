"""Hands Arrow's columns to `ColumnFiles`: numbers, lists of numbers, text, and files as Hugging Face writes them, a
struct of `bytes` and `path` or plain binary."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker.compression.data.formats.signatures import kind_of_file
from worker.compression.data.formats.tables.column_files import ColumnFiles, Kind
from worker.compression.ir.arrays import Array

MAX_REPEATED_BYTES = 2**26


@dataclass
class ArrowWriter:
    """Writes record batches of one schema. Columns that are none of these are left out, and noted. What files hold is
    told by the first one, unless `holds` says so."""

    files: ColumnFiles
    holds: Kind | None = None
    numbers: dict[str, int] = field(default_factory=dict)

    def begin(self, schema: pa.Schema) -> None:
        """Add the schema's columns."""
        for item in schema:
            kind = _kind(item.type)
            if kind is None:
                self.files.notes.append(f"Column {item.name[:80]!r} is {item.type}, which is not read.")
            else:
                dtype = leaf_dtype(item.type) if kind in ("numbers", "lists") else "uint8"
                self.numbers[item.name] = self.files.add(item.name, kind, dtype)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows; fewer at a time where what a dictionary repeats would take much memory."""
        if batch.num_rows > 1 and _repeated_bytes(batch) > MAX_REPEATED_BYTES:
            half = batch.num_rows // 2
            self.write(batch.slice(0, half))
            self.write(batch.slice(half))
            return
        for name, number in self.numbers.items():
            if self.files.columns[number].name:
                self._write(number, batch.column(name))
        self.files.rows += batch.num_rows

    def _write(self, number: int, array: pa.Array) -> None:
        if isinstance(array, pa.DictionaryArray):
            array = array.dictionary_decode()
        missing = np.asarray(array.is_null())
        match self.files.columns[number].kind:
            case "numbers":
                self.files.numbers(number, numbers_of(array), missing)
            case "lists":
                lists = _lists(array)
                if lists is None or not self.files.lists(number, *lists, missing):
                    self.files.drop(number, "the lists inside its lists differ in length, or have no value")
            case "text":
                self.files.blobs(number, *blobs_of(array.cast(pa.large_utf8())), missing)
            case "image" | "audio":
                content = array.field("bytes") if pa.types.is_struct(array.type) else array
                content = content.cast(pa.large_binary())
                self._kind_of_files(number, content)
                self.files.blobs(number, *blobs_of(content), np.asarray(content.is_null()) | missing)

    def _kind_of_files(self, number: int, content: pa.Array) -> None:
        if self.holds is not None:
            self.files.columns[number].kind = self.holds
        elif self.files.rows == 0 and content.null_count < len(content):
            head = content.drop_null()[0].as_py()[:12]
            kind = kind_of_file(head)
            if kind is None:
                self.files.drop(number, "its bytes are neither pictures nor sounds")
            else:
                self.files.columns[number].kind = kind


def _repeated_bytes(batch: pa.RecordBatch) -> int:
    """Count the bytes that the batch's dictionaries stand for."""
    total = 0
    for column in batch.columns:
        if isinstance(column, pa.DictionaryArray) and len(column.dictionary):
            lengths = pc.fill_null(pc.binary_length(column.dictionary), 0)
            total += pc.sum(lengths.take(column.indices)).as_py() or 0
    return total


def numbers_of(array: pa.Array) -> Array:
    """Return the values, zeros where there are none."""
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    if array.null_count:
        array = array.fill_null(False if pa.types.is_boolean(array.type) else pa.scalar(0, array.type))
    values: Array = array.to_numpy(zero_copy_only=False)
    return values


def blobs_of(array: pa.Array) -> tuple[Array, Array]:
    """Return the lengths of texts or files of a large type, and their bytes end to end."""
    offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]
    lengths = np.diff(offsets)
    if array.null_count:
        null = np.asarray(array.is_null())
        if lengths[null].any():
            return blobs_of(array.fill_null(b"" if pa.types.is_large_binary(array.type) else ""))
    content = array.buffers()[2]
    whole = np.zeros(0, np.uint8) if content is None else np.frombuffer(content, np.uint8)
    return lengths, whole[offsets[0] : offsets[-1]] if len(array) else whole[:0]


def leaf_dtype(type: pa.DataType) -> str:
    """Name the numbers of a column, in lists or not, as numpy does."""
    while _is_list(type):
        type = type.value_type
    if pa.types.is_decimal(type):
        return "float64"
    return str(np.dtype(type.to_pandas_dtype()).name)


def _lists(array: pa.Array) -> tuple[Array, Array] | None:
    """Return the lengths of the rows, and all entries [entries, *inner]; None where inner lists differ in length."""
    lengths = _lengths(array)
    values, inner = array.flatten(), []
    while _is_list(values.type):
        sizes = np.unique(_lengths(values))
        if values.null_count or len(sizes) > 1:
            return None
        inner.append(int(sizes[0]) if len(sizes) else 0)
        values = values.flatten()
    if values.null_count:
        return None
    return lengths, numbers_of(values).reshape(int(lengths.sum()), *inner)


def _lengths(array: pa.Array) -> Array:
    return np.asarray(pc.fill_null(pc.list_value_length(array), 0), np.int64)


def _kind(type: pa.DataType) -> Kind | None:
    if pa.types.is_dictionary(type):
        type = type.value_type
    if _is_number(type):
        return "numbers"
    if pa.types.is_string(type) or pa.types.is_large_string(type):
        return "text"
    if _is_binary(type) or (
        pa.types.is_struct(type)
        and type.get_field_index("bytes") >= 0
        and _is_binary(type.field("bytes").type)
    ):
        return "image"
    leaf = type
    while _is_list(leaf):
        leaf = leaf.value_type
    return "lists" if leaf is not type and _is_number(leaf) else None


def _is_number(type: pa.DataType) -> bool:
    kinds = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(is_kind(type) for is_kind in kinds)


def _is_binary(type: pa.DataType) -> bool:
    return bool(pa.types.is_binary(type) or pa.types.is_large_binary(type))


def _is_list(type: pa.DataType) -> bool:
    return bool(pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type))
