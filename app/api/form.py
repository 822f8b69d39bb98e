"""multipart/form-data as a stream: the file's bytes go on as they come, the small fields are kept.

`UploadFile` would write everything twice and hash it afterwards; this holds one chunk at a time.
"""

from collections.abc import Callable
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from winnow.contract.errors import Refusal

FILE: Final = "file"
MAX_FIELDS_BYTES: Final = 2**20
MAX_PARTS: Final = 100

Sink = Callable[[bytes], None]
Fields = list[tuple[str, str]]


class Form:
    """Feed it chunks. `fields` are those that came beside the file, in order; `filename` is the file's as the client
    called it. `check` gets the fields that came before the file when that begins: what it refuses, nobody sends."""

    def __init__(self, content_type: str, check: Callable[[Fields], object], file: Sink) -> None:
        _, options = parse_options_header(content_type)
        if not options.get(b"boundary"):
            raise _malformed("its Content-Type has no boundary")
        self._check = check
        self.fields: Fields = []
        self.filename: str | None = None
        self.has_file = False
        self._complete = False
        self._file, self._parts, self._kept = file, 0, 0
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._field: tuple[str, bytearray] | None = None
        self._parser = self._made(options[b"boundary"])

    def write(self, chunk: bytes) -> None:
        """Raises `malformed_request` and `invalid_request`."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed(str(error)) from error

    def close(self) -> None:
        if not self._complete:
            raise _malformed("it ends before its last boundary")

    def _made(self, boundary: bytes) -> MultipartParser:
        name, value = self._header
        try:
            return MultipartParser(
                boundary,
                {
                    "on_part_begin": self._headers.clear,
                    "on_header_field": lambda data, start, end: name.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: value.extend(data[start:end]),
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._part_begin,
                    "on_part_data": self._part_data,
                    "on_part_end": self._part_end,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _malformed(str(error)) from error

    def _header_end(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        name.clear()
        value.clear()

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise _malformed(f"it has more than {MAX_PARTS} parts")
        if self._headers.get(b"content-transfer-encoding", b"binary").lower() not in (
            b"binary",
            b"7bit",
            b"8bit",
        ):
            raise _malformed("a part has a Content-Transfer-Encoding; send the bytes as they are")
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        name, filename = _text(options.get(b"name", b"")), options.get(b"filename")
        if name == FILE:
            self._file_begin(filename)
        else:
            self._field = (name, bytearray())

    def _file_begin(self, filename: bytes | None) -> None:
        if self.has_file:
            raise _malformed("it has two files; send one at a time")
        self._check(self.fields)
        self.has_file, self._field = True, None
        self.filename = _text(filename) if filename else None

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            return self._file(data[start:end])
        self._kept += end - start
        if self._kept > MAX_FIELDS_BYTES:
            raise _no_text(self._field[0], f"more than the {MAX_FIELDS_BYTES} bytes that fields may have")
        self._field[1].extend(data[start:end])
        return None

    def _part_end(self) -> None:
        if self._field is not None:
            name, value = self._field
            try:
                self.fields.append((name, value.decode()))
            except UnicodeDecodeError:
                raise _no_text(name, "bytes that are not UTF-8") from None
        self._field = None

    def _end(self) -> None:
        self._complete = True


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed(f"{raw[:40]!r} is not UTF-8") from None


def _no_text(name: str, what: str) -> Refusal:
    detail = (
        f"The field {name[:100]!r} has {what}. Fields are short texts; the file goes into the field {FILE!r}."
    )
    return Refusal("malformed_request", detail, field=name)


def _malformed(why: str) -> Refusal:
    return Refusal("malformed_request", f"The form cannot be read: {why}.")
