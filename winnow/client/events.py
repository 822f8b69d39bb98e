"""Server-sent events (WHATWG HTML, section 9.2), as far as the service uses them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerEvent:
    id: str
    event: str
    data: str


def server_events(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """The events of a stream. One that is cut off in the middle is dropped, as the standard asks."""
    fields: dict[str, list[str]] = {}
    for line in _lines(chunks):
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
            continue
        if "data" in fields:
            yield ServerEvent(
                id=fields.get("id", [""])[-1],
                event=fields.get("event", ["message"])[-1],
                data="\n".join(fields["data"]),
            )
        fields = {}


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines end with LF or CR LF only: `str.splitlines` would also split inside of JSON strings (U+2028)."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.removesuffix(b"\r").decode() for line in lines)
