"""What files of a dataset begin with."""

from typing import Final, Literal

PARQUET: Final = b"PAR1"
IMAGES: Final = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")


def kind_of_file(head: bytes) -> Literal["image", "audio"] | None:
    """Tell by its first 12 bytes whether a file is a picture or a sound."""
    if head.startswith(b"fLaC") or (head.startswith(b"RIFF") and head[8:12] == b"WAVE"):
        return "audio"
    if head.startswith(IMAGES) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        return "image"
    return None
