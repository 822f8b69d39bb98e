"""A blob of a bucket of which a host has what was asked for: blocks in a file with holes, each known by its hash.

    cache/<SHA-256>[-<SHA-256>].ranges/{content, index, used}

The hashes of the blocks were computed by a worker that had read and verified the whole. They say as well what is here:
a block whose bytes have its hash is, whatever it was that stopped whoever fetched it, and a hole is not. So there is no
list that could be wrong, and no lock: two workers that fetch the same block write the same bytes.
"""

import hashlib
import logging
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from app.storage.ports import RemoteObject
from winnow.contract.errors import Refusal
from worker.compression.data.ranges.ranged import BLOCK_BYTES, CONTENT

log = logging.getLogger(__name__)

HASH_BYTES: Final = 32
BLOCKS_AT_A_TIME: Final = 16
"""In memory, and in one request."""
TRIES: Final = 2
"""Of a block that is not what it was."""


class BlockHashes:
    """Hashes what passes, block by block."""

    def __init__(self) -> None:
        self._hashes, self._current, self._room = bytearray(), hashlib.sha256(), BLOCK_BYTES

    def update(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            part, view = view[: self._room], view[self._room :]
            self._current.update(part)
            self._room -= len(part)
            if self._room == 0:
                self._end_block()

    def digests(self) -> bytes:
        """Of all that has passed; nothing may follow."""
        if self._room < BLOCK_BYTES:
            self._end_block()
        return bytes(self._hashes)

    def _end_block(self) -> None:
        self._hashes += self._current.digest()
        self._current, self._room = hashlib.sha256(), BLOCK_BYTES


def hashes_of(source: RemoteObject) -> bytes | None:
    """The hashes of its blocks; None where nobody has kept any."""
    hashes = source.block_hashes()
    blocks = -(-source.size // BLOCK_BYTES)
    return hashes if hashes is not None and len(hashes) == HASH_BYTES * blocks else None


class RangedCopy:
    """Of one blob, for one attempt at work: what was found on the disk is verified once more."""

    def __init__(self, source: RemoteObject, sha256: str, folder: Path, hashes: bytes) -> None:
        self._source, self._sha256, self._file, self._hashes = source, sha256, folder / CONTENT, hashes
        self._here: set[int] = set()

    def fetch(self, start: int, end: int) -> int:
        """Have the blocks of these bytes in the file; how many bytes came from the store for it.

        Raises `StoreAway`; `Refusal` `storage_unavailable` where the store has other bytes; `OSError`.
        """
        fetched = 0
        end = min(end, self._source.size)
        with self._file.open("r+b", buffering=0) as file:
            wanted = range(max(start, 0) // BLOCK_BYTES, -(-end // BLOCK_BYTES))
            lacking = [block for block in wanted if not self._is_here(block, file.fileno())]
            for blocks in _together(lacking):
                fetched += self._fetch_blocks(blocks, file.fileno())
        return fetched

    def _is_here(self, block: int, descriptor: int) -> bool:
        if block not in self._here:
            content = os.pread(descriptor, BLOCK_BYTES, block * BLOCK_BYTES)
            if self._is_right(block, content):
                self._here.add(block)
        return block in self._here

    def _fetch_blocks(self, blocks: range, descriptor: int) -> int:
        fetched = 0
        for _ in range(TRIES):
            content = b"".join(self._source.chunks(blocks.start * BLOCK_BYTES, blocks.stop * BLOCK_BYTES))
            fetched += len(content)
            parts = [content[at : at + BLOCK_BYTES] for at in range(0, len(content), BLOCK_BYTES)]
            if len(parts) == len(blocks) and all(map(self._is_right, blocks, parts)):
                _write(descriptor, content, blocks.start * BLOCK_BYTES)
                self._here.update(blocks)
                return fetched
            log.warning("blocks %d to %d of %s are damaged", blocks.start, blocks.stop - 1, self._sha256)
        raise other_bytes(self._sha256)

    def _is_right(self, block: int, content: bytes) -> bool:
        expected = self._hashes[block * HASH_BYTES : (block + 1) * HASH_BYTES]
        return hashlib.sha256(content).digest() == expected


def _write(descriptor: int, content: bytes, at: int) -> None:
    """All of it: a full disk takes a part, and says so only then."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


def other_bytes(sha256: str) -> Refusal:
    return Refusal(
        "storage_unavailable",
        f"The store has other bytes under the name {sha256} than were put there. Tell its operator; upload the "
        "file again, then retry.",
    )


def _together(blocks: list[int]) -> Iterator[range]:
    """Neighbours, a few at a time."""
    for _, run in groupby(enumerate(blocks), lambda item: item[1] - item[0]):
        numbers = [block for _, block in run]
        for start in range(numbers[0], numbers[-1] + 1, BLOCKS_AT_A_TIME):
            yield range(start, min(start + BLOCKS_AT_A_TIME, numbers[-1] + 1))
