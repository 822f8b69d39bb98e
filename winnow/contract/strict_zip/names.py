"""The names in an archive: what may be one, and which two are the same."""

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from winnow.contract.errors import Refusal

MAX_NAME_BYTES: Final = 1024
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\\]")
DRIVE: Final = re.compile(r"[A-Za-z]:")
SEPARATOR: Final = "\0"


def check_name(name: str) -> None:
    """Refuse what is no plain relative path: `..`, `.`, `//`, a leading `/`, backslashes, control characters, drives.

    Raises `Refusal` `unsafe_archive`. A folder's name ends with `/`.
    """
    parts = name.removesuffix("/").split("/")
    if CONTROL.search(name) or not {"", ".", ".."}.isdisjoint(parts) or DRIVE.fullmatch(parts[0]):
        raise unsafe(f"{name[:80]!r} is no plain name, or leads out of it")


def check_distinct(names: Iterable[str], *, ignore_case: bool) -> None:
    """Refuse names that stand twice, and files that are folders of others.

    A separator that sorts before every letter puts a file directly before what lies in the folder of its name.
    Raises `Refusal` `unsafe_archive`.
    """
    keys = sorted(_key(name, ignore_case) for name in names)
    for key, following in pairwise(keys):
        if key == following:
            raise unsafe(f"{_shown(key)} stands in it more than once")
        if following.startswith(key + SEPARATOR):
            raise unsafe(f"{_shown(key)} is a file and a folder in it")


def _key(name: str, ignore_case: bool) -> str:
    key = unicodedata.normalize("NFC", name)
    return (key.casefold() if ignore_case else key).replace("/", SEPARATOR)


def _shown(key: str) -> str:
    return repr(key.replace(SEPARATOR, "/")[:80])


def unsafe(why: str) -> Refusal:
    return Refusal("unsafe_archive", f"The archive is refused: {why}. Pack plain files, each once.")
