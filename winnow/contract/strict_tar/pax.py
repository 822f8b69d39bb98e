"""Extended headers (pax): records `LENGTH KEY=VALUE\\n` that say more of the member behind them."""

import re
from typing import Final

from winnow.contract.strict_tar.header import BrokenTar

MAX_PAX_BYTES: Final = 2**16
TOLD: Final = frozenset({"path", "size"})
PASSED_OVER: Final = re.compile(
    r"(mtime|atime|ctime|uid|gid|uname|gname|comment)|(LIBARCHIVE|SCHILY)\.(creationtime|dev|ino|nlink|fflags|xattr\..*)",
    re.DOTALL,
)
"""What changes neither a name nor a content. Not GNU.sparse, which does, nor links, which are not read."""

_LENGTH: Final = re.compile(rb"([1-9][0-9]{0,5}) ")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")


def parse_pax(content: bytes) -> dict[str, str]:
    """The records that tell a name or a size. Raises `BrokenTar`."""
    records: dict[str, str] = {}
    at = 0
    while at < len(content):
        length = _LENGTH.match(content, at)
        stop = at + int(length[1]) if length else 0
        if length is None or stop > len(content) or content[stop - 1 : stop] != b"\n":
            raise BrokenTar("an extended header in it is not valid")
        key, value = _record(content[length.end() : stop - 1])
        if key in records:
            raise BrokenTar(f"an extended header says {key[:80]!r} twice")
        records[key] = value
        at = stop
    return {key: value for key, value in records.items() if key in TOLD}


def parse_size(text: str) -> int:
    """Raises `BrokenTar`."""
    if not _SIZE.fullmatch(text):
        raise BrokenTar("a size in an extended header is no number")
    return int(text)


def _record(record: bytes) -> tuple[str, str]:
    raw_key, equals, raw_value = record.partition(b"=")
    key = raw_key.decode("utf-8", "replace")
    if not equals or (key not in TOLD and not PASSED_OVER.fullmatch(key)):
        raise BrokenTar(f"an extended header says {key[:80]!r}, which is not read here")
    try:
        return key, raw_value.decode() if key in TOLD else ""
    except UnicodeDecodeError:
        raise BrokenTar("a name in an extended header is no UTF-8") from None
