"""The container of a download: the artifact as zstd (RFC 8878). Size as reported is size as sent: both follow this."""

from typing import Final

SMALL_BYTES: Final = 2**22


def level(size_bytes: int) -> int:
    """Of the compression: the closest where it takes no time to speak of, a fast one for large files."""
    return 19 if size_bytes <= SMALL_BYTES else 9 if size_bytes <= 8 * SMALL_BYTES else 3
