"""Check names that go into facts: of columns and of classes."""

from collections.abc import Sequence
from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.strict_json import UNSTORABLE

MAX_CHARACTERS: Final = 1000
MAX_COLUMNS: Final = 1000
MAX_CLASSES: Final = 100_000


def check_names(what: str, names: Sequence[str], most: int) -> None:
    """Refuse with `invalid_dataset` more names than that, long ones, and what no database keeps."""
    if len(names) > most:
        raise Refusal("invalid_dataset", f"The data has {len(names)} {what}, more than {most}.")
    for name in names:
        if len(name) > MAX_CHARACTERS or UNSTORABLE.search(name):
            raise Refusal(
                "invalid_dataset",
                f"{name[:80]!r} is among the names of the {what}: up to {MAX_CHARACTERS} characters are expected, "
                "without NUL and halves of surrogate pairs.",
            )
