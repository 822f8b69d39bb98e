"""Make a file of text readable as UTF-8, with a NUL for each byte that is none: its readers never stumble over such a
byte, and find it later. Arrow is given files, not Python objects: its threads read ahead, also when nobody reads on.
"""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

NUL_FOR_BAD: Final = "winnow.nul"
CHUNK: Final = 2**20


def _nul(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\0" * (error.end - error.start), error.end


codecs.register_error(NUL_FOR_BAD, _nul)


@contextmanager
def as_utf8(path: Path, folder: Path) -> Iterator[Path]:
    """Give the file itself where all of it is UTF-8, else a copy in `folder`, which is removed afterwards."""
    if _is_utf8(path):
        yield path
        return
    with NamedTemporaryFile(dir=folder, suffix=path.suffix) as copy:
        for text in _decoded(path, NUL_FOR_BAD):
            copy.write(text.encode())
        copy.flush()
        yield Path(copy.name)


def _is_utf8(path: Path) -> bool:
    try:
        return all(text is not None for text in _decoded(path, "strict"))
    except UnicodeDecodeError:
        return False


def _decoded(path: Path, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            yield decoder.decode(block)
    yield decoder.decode(b"", final=True)
