"""A bundle as a Hugging Face repository lies on a disk: files by their names there, the artifact by Git LFS.

Nothing is sent: `hf upload OWNER/NAME FOLDER`, or git, does that with the user's own login.
"""

import os
from pathlib import Path
from typing import Final

from winnow.client.bundle import Bundle
from winnow.client.errors import UnusableFile
from winnow.contract.bundle.files import PACKAGE

ATTRIBUTES: Final = ".gitattributes"
LFS: Final = "filter=lfs diff=lfs merge=lfs -text"


def write_repository(bundle: Bundle, folder: Path, *, force: bool = False) -> list[Path]:
    """Write all files of the bundle into the folder, which may be a clone of a repository.

    Raises `UnusableFile` where one is there already, unless by `force`, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = [name for name in bundle.archive.members if os.path.lexists(folder / name)]
        if there and not force:
            raise UnusableFile(f"{folder / there[0]} exists and is not overwritten; give --force to do so")
        written = bundle.extract(folder)
        attributes = folder / ATTRIBUTES
        known = attributes.read_bytes() if attributes.exists() else b""
        large = "*.zip" if PACKAGE in bundle.archive.members else "*.onnx"
        if large.encode() not in known:
            attributes.write_bytes((known.rstrip() + f"\n{large} {LFS}\n".encode()).lstrip())
        return [*written, attributes]
    except OSError as error:
        raise UnusableFile(f"{folder} cannot be written: {error.strerror or error}") from error
