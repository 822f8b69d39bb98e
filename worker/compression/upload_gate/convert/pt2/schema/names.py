"""Names in a program. torch writes them into Python source, so they are identifiers here or become ones."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

MAX_NAME: Final = 1000
OTHER: Final = re.compile(r"[^A-Za-z0-9_]")

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=MAX_NAME)]
"""The name of a value, an argument or a graph."""

SymbolName = Annotated[str, StringConstraints(pattern=r"^(s|zf|u|zuf)[0-9]{1,5}$")]
"""A size that is not fixed (`s`), one that only the run tells (`u`), the same for floats (`zf`, `zuf`)."""


def plain_word(word: str) -> str:
    """The word, with what is no letter, digit or underscore written as its number: `layer-1` is `layer_x2d_1`."""
    return OTHER.sub(lambda other: f"_x{ord(other[0]):x}_", word)


def plain_path(path: str) -> str:
    """A parameter's name, its parts made plain. Raises `ValueError` when a part is empty."""
    parts = path.split(".")
    if not all(parts):
        raise ValueError("a part of the name is empty")
    return ".".join(map(plain_word, parts))


ParameterName = Annotated[str, StringConstraints(max_length=MAX_NAME), AfterValidator(plain_path)]
"""The dotted name of a parameter, buffer or constant."""
