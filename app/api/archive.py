"""The names in a zip or tar that nobody vouches for, without unpacking a byte: by the readers that the worker uses."""

from typing import BinaryIO

from winnow.contract.errors import Refusal
from winnow.contract.strict_tar import BrokenTar, open_tar
from winnow.contract.strict_zip import BrokenZip, open_zip


def zip_names(file: BinaryIO, max_members: int) -> list[str]:
    """Raises `unknown_format` for what cannot be read, and what `open_zip` refuses."""
    try:
        return list(open_zip(file, max_members=max_members, ignore_case=False).members)
    except BrokenZip as error:
        raise _unreadable("zip", error) from error


def tar_names(file: BinaryIO, max_members: int, ignore_case: bool) -> list[str]:
    """Raises `unknown_format` for what cannot be read, and what `open_tar` refuses."""
    try:
        return list(open_tar(file, max_members=max_members, ignore_case=ignore_case).members)
    except BrokenTar as error:
        raise _unreadable("tar", error) from error


def _unreadable(kind: str, why: object) -> Refusal:
    return Refusal(
        "unknown_format",
        f"The file begins like a {kind} archive, but cannot be read as one ({why}). Pack it again and upload it whole.",
    )
