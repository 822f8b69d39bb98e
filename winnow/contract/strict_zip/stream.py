"""A member's content, unpacked piece by piece: never more than is asked for, never more than was promised."""

import io
import zlib
from typing import BinaryIO, Final

from winnow.contract.strict_zip.directory import Member
from winnow.contract.strict_zip.end_record import BrokenZip

CHUNK: Final = 2**18


class MemberStream(io.RawIOBase):
    """Reads one member, forward only. The read that reaches the end has checked length and CRC.

    Reads seek in `file`, so that several streams of one file can be read in turns, by one thread.
    Raises `BrokenZip` when the content is not what the directory promises.
    """

    def __init__(self, file: BinaryIO, member: Member) -> None:
        super().__init__()
        self._file, self._member = file, member
        self._at, self._stop = member.offset, member.offset + member.packed_bytes
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if member.deflated else None
        self._waiting = b""
        self._crc, self._read_bytes = 0, 0
        if member.size_bytes == 0:
            self._check_end()

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        """Bytes of content read so far."""
        return self._read_bytes

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, or the rest; empty at the end. Memory is taken for what is left only."""
        left = self._member.size_bytes - self._read_bytes
        return super().read(left if size < 0 else min(size, left)) or b""

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._member.size_bytes - self._read_bytes)
        if wanted == 0:
            return 0
        content = self._next(wanted)
        view[: len(content)] = content
        self._crc = zlib.crc32(content, self._crc)
        self._read_bytes += len(content)
        if self._read_bytes == self._member.size_bytes:
            self._check_end()
        return len(content)

    def _next(self, wanted: int) -> bytes:
        """At least one byte and at most `wanted`."""
        if self._inflater is None:
            return self._packed(wanted)
        try:
            while not (content := self._inflater.decompress(self._waiting or self._packed(CHUNK), wanted)):
                self._waiting = self._inflater.unconsumed_tail
                if self._inflater.eof or (self._at == self._stop and not self._waiting):
                    raise self._broken("ends early")
        except zlib.error as error:
            raise self._broken(f"cannot be inflated ({error})") from error
        self._waiting = self._inflater.unconsumed_tail
        return content

    def _packed(self, wanted: int) -> bytes:
        self._file.seek(self._at)
        content = self._file.read(min(wanted, self._stop - self._at))
        if not content and self._at < self._stop:
            raise self._broken("was cut short")
        self._at += len(content)
        return content

    def _check_end(self) -> None:
        """Nothing is left in the member, and the content has the CRC that the directory gives."""
        if self._inflater is not None:
            self._drain(self._inflater)
        if self._at != self._stop or self._crc != self._member.crc32:
            raise self._broken("does not have the content that the directory promises (length or CRC)")

    def _drain(self, inflater: "zlib._Decompress") -> None:
        """What deflate writes behind the last byte of content: the mark of its end, and nothing more."""
        try:
            while not inflater.eof and (packed := self._waiting or self._packed(CHUNK)):
                if inflater.decompress(packed, 1):
                    raise self._broken("unpacks to more than it promises")
                self._waiting = inflater.unconsumed_tail
        except zlib.error as error:
            raise self._broken(f"cannot be inflated ({error})") from error
        if not inflater.eof or inflater.unused_data:
            raise self._broken("has something behind its content")

    def _broken(self, why: str) -> BrokenZip:
        return BrokenZip(f"{self._member.name[:80]!r} {why}")
