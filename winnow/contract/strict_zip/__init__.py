"""The one reader of zip archives, for the API and the worker: `.pt2`, TorchScript, `.npz`, ONNX in a zip.

A zip says everything twice, and readers differ in which place they believe. What is opened here can be read in one
way only: the members lie one behind the other from the first byte of the file to the directory, the directory ends
where the end record begins, the end record ends the file, and what a member's own header says is what the directory
says. So no other reader of the same bytes sees another name, another place or another content.

    with path.open("rb") as file:
        archive = open_zip(file, max_bytes=2**30)
        for name in archive.members: ...
        content = archive.read(name, limit=2**20)

`BrokenZip` is a `ValueError`: the bytes are no such zip. What may not be is a `Refusal` `unsafe_archive`.
"""

from winnow.contract.strict_zip.archive import MAX_MEMBERS, MAX_RATIO, ZipArchive, open_zip
from winnow.contract.strict_zip.directory import Member
from winnow.contract.strict_zip.end_record import BrokenZip
from winnow.contract.strict_zip.stream import MemberStream

__all__ = ["MAX_MEMBERS", "MAX_RATIO", "BrokenZip", "Member", "MemberStream", "ZipArchive", "open_zip"]
