"""How an input is declared where the file does not say it: `image:float32[N,1,28,28]`.

A number is a fixed dimension, a name (a letter, usually) a dynamic one; the same name twice is the same dimension.
"""

import re
from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec

DTYPES: Final = frozenset(
    {
        "bool",
        *(f"float{bits}" for bits in (16, 32, 64)),
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    }
)
MAX_DIMENSION: Final = 2**31 - 1

_INPUT: Final = re.compile(r"(?P<name>[^:\[\],\s]+):(?P<dtype>\w+)\[(?P<shape>[^\[\]]*)\]")
_SYMBOL: Final = re.compile(r"[A-Za-z_]\w*")


def parse_input(text: str) -> TensorSpec:
    """`name:dtype[dims]` as a TensorSpec. Raises `Refusal` `invalid_request` that says what was expected."""
    match = _INPUT.fullmatch(text.strip())
    if match is None:
        raise _refused(text, "should look like image:float32[N,1,28,28]")
    if match["dtype"] not in DTYPES:
        raise _refused(
            text, f"has the dtype {match['dtype']!r}, which is none of {', '.join(sorted(DTYPES))}"
        )
    dims = [part.strip() for part in match["shape"].split(",")] if match["shape"].strip() else []
    return TensorSpec(name=match["name"], dtype=match["dtype"], shape=[_dimension(text, dim) for dim in dims])


def _dimension(text: str, dim: str) -> int | str:
    if _SYMBOL.fullmatch(dim) and dim.isascii():
        return dim
    if dim.isascii() and dim.isdigit() and len(dim) <= 10 and 1 <= int(dim) <= MAX_DIMENSION:
        return int(dim)
    raise _refused(text, f"has the dimension {dim!r}; a whole number from 1 or a name was expected")


def _refused(text: str, what: str) -> Refusal:
    return Refusal("invalid_request", f"The input {text[:200]!r} {what}.", field="input")
