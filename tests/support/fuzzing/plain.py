"""Changes of bytes that know nothing of what they mean."""

import struct
from collections.abc import Callable
from random import Random

NUMBERS = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**63 - 1,
    2**63,
    2**64 - 1,
]
WORDS = [
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"..",
    b"/",
    b"\0",
    b"\\",
    b'"',
    b"{",
    b"[",
    b"\x80\x02",
    b"NaN",
    b"-1",
    b"\xff\xfe",
]


def changed(content: bytes, random: Random) -> bytes:
    """The content after one to four changes."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        content = random.choice(CHANGES)(content, random)
    return content


def _flip(content: bytes, random: Random) -> bytes:
    if not content:
        return content
    at = random.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]


def _cut(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def _leave_out(content: bytes, random: Random) -> bytes:
    at, length = _place(content, random)
    return content[:at] + content[at + length :]


def _repeat(content: bytes, random: Random) -> bytes:
    at, length = _place(content, random)
    return (
        content[: at + length] + content[at : at + length] * random.choice((1, 1, 3)) + content[at + length :]
    )


def _move(content: bytes, random: Random) -> bytes:
    (at, length), to = _place(content, random), random.randrange(len(content) + 1)
    return content[:to] + content[at : at + length] + content[to:]


def _number(content: bytes, random: Random) -> bytes:
    kind = random.choice(("<B", "<H", "<I", "<Q", ">I"))
    size = struct.calcsize(kind)
    value = struct.pack(kind, random.choice(NUMBERS) % 2 ** (8 * size))
    at = random.randrange(max(1, len(content) - size))
    return content[:at] + value + content[at + size :]


def _word(content: bytes, random: Random) -> bytes:
    at, word = random.randrange(len(content) + 1), random.choice(WORDS)
    return content[:at] + word + content[at + random.choice((0, len(word))) :]


def _place(content: bytes, random: Random) -> tuple[int, int]:
    return random.randrange(len(content) + 1), random.choice((1, 4, 16, 200, 5000))


CHANGES: list[Callable[[bytes, Random], bytes]] = [
    _flip,
    _flip,
    _cut,
    _leave_out,
    _repeat,
    _move,
    _number,
    _word,
]
