"""The one reader of tar archives, for the API and the worker: ONNX with its external data.

Read are plain files and folders as POSIX (ustar, pax) and GNU tar write them, by their headers alone. Whatever two
readers may take differently is refused: a name that stands twice, a size in two places, a header after the end,
sparse files, links, numbers that are not written as numbers.

    with path.open("rb") as file:
        archive = open_tar(file, max_bytes=2**30)
        for name in archive.members: ...
        content = archive.stream(name).read(2**20)

`BrokenTar` is a `ValueError`: the bytes are no such tar. What may not be is a `Refusal` `unsafe_archive`.
"""

from winnow.contract.strict_tar.archive import MAX_MEMBERS, TarArchive, TarMember, open_tar
from winnow.contract.strict_tar.header import MAGIC, MAGIC_AT, BrokenTar

__all__ = ["MAGIC", "MAGIC_AT", "MAX_MEMBERS", "BrokenTar", "TarArchive", "TarMember", "open_tar"]
