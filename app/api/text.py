"""How numbers and times are written in an address or a form: one way each, where pydantic alone would guess."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_CLOCK: Final = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
_MOMENT: Final = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[Tt ]{_CLOCK})?")


def _written(form: re.Pattern[str], expected: str) -> Callable[[Any], Any]:
    def check(text: Any) -> Any:
        if isinstance(text, str) and not form.fullmatch(text):
            raise ValueError(f"{expected} was expected, not {text[:50]!r}")
        return text

    return check


WRITTEN_WHOLE: Final = BeforeValidator(_written(_WHOLE, "a whole number in decimal digits"))
"""Stands behind the bounds of a number, which the document does not show otherwise."""

WRITTEN_FLAG: Final = BeforeValidator(_written(re.compile("true|false"), "true or false"))

Moment = Annotated[
    datetime,
    BeforeValidator(
        _written(_MOMENT, "a time as 2026-01-31T12:00:00Z (ISO 8601, its `+` written as %2B in an address)")
    ),
]
