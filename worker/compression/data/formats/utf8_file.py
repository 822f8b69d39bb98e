"""Reads a file of text with a NUL for each byte that is no UTF-8: its readers never stumble, and find them later."""

import codecs
from pathlib import Path
from typing import Final

NUL_FOR_BAD: Final = "winnow.nul"


def _nul(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\0" * (error.end - error.start), error.end


codecs.register_error(NUL_FOR_BAD, _nul)


class Utf8File:
    """What pyarrow needs of a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._decoder = codecs.getincrementaldecoder("utf-8")(NUL_FOR_BAD)

    def read(self, size: int) -> bytes:
        """Read some `size` bytes; none at the end of the file."""
        while block := self._file.read(size):
            if text := self._decoder.decode(block):
                return text.encode()
        return self._decoder.decode(b"", final=True).encode()

    def close(self) -> None:
        self._file.close()

    @property
    def closed(self) -> bool:
        return self._file.closed
