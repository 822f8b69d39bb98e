"""Does a width divide every group of channels?"""

from collections.abc import Iterable
from math import gcd
from typing import Final

from winnow.contract.errors import Refusal

TOLERANCE: Final = 0.05
"""Channels that a share may be off, since thirds have no end: 0.3333 of 384."""
SHOWN: Final = 3
MAX_WIDTHS: Final = 8
"""Widths that are offered; the nearest of them where there are more."""


def check_width(width: float, groups: Iterable[tuple[str, int]], where: str) -> None:
    """`groups`: the name of each and its channels. Raises `does_not_divide` at the field `where`."""
    sizes = list(groups)
    broken = [(name, size) for name, size in sizes if not _is_whole(width * size)]
    if not broken:
        return
    listed = ", ".join(f"{width * size:g} of the {size} channels of {name}" for name, size in broken[:SHOWN])
    more = f", and so for {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
    raise Refusal(
        "does_not_divide",
        f"width {width:g} would leave {listed}{more}. {_instead(width, [size for _, size in sizes])}",
        field=where,
    )


def _is_whole(channels: float) -> bool:
    return abs(channels - round(channels)) <= TOLERANCE and round(channels) >= 1


def _instead(width: float, sizes: list[int]) -> str:
    common = gcd(*sizes)
    shares = [part / common for part in range(1, common)]
    nearest = sorted(sorted(shares, key=lambda share: abs(share - width))[:MAX_WIDTHS])
    if not nearest:
        return "No width divides all groups: set round_to (8), or exclude some of them."
    return f"These divide all groups: {', '.join(f'{share:.4g}' for share in nearest)}; or set round_to (8)."
