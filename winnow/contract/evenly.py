"""Which residual blocks of a network stay when a share of them goes: evenly spaced ones, of a transformer whole layers.

Of N layers of which P cannot go, K = ⌊depth · N + ½⌋ stay: those P, and of the F others the layers ⌊i · F / (K − P)⌋,
as DistilBERT takes every second one (Sanh et al. 2019, arXiv:1910.01108).
"""

from collections.abc import Sequence
from math import floor

from winnow.contract.errors import Refusal
from winnow.contract.glob import matches_any
from winnow.contract.model import HOLDS_OTHERS, ResidualBlock

Unit = list[ResidualBlock]
"""Blocks that go together: the halves of a transformer's layer, or one block."""


def units_of(blocks: Sequence[ResidualBlock], layers: Sequence[str]) -> list[Unit]:
    """Put blocks together that go together, in the order of the graph, which is that of its `layers`. A layer begins
    with an attention behind a block that is none. Blocks that hold others are none of them."""
    place = {name: index for index, name in enumerate(layers)}
    plain = [block for block in blocks if block.pinned != HOLDS_OTHERS]
    ordered = sorted(plain, key=lambda block: min((place.get(name, 0) for name in block.layers), default=0))
    units = list[Unit]()
    attends = any(block.attends for block in ordered)
    for block in ordered:
        begins = not units or not attends or (block.attends and not units[-1][-1].attends)
        units += [[block]] if begins else []
        if not begins:
            units[-1].append(block)
    return units


def why_it_stays(unit: Unit, exclude: Sequence[str]) -> str | None:
    """Why a unit cannot go, as a clause; None where it can."""
    for block in unit:
        if block.pinned is not None:
            return block.pinned
        if any(matches_any(name, exclude) for name in (block.name, *block.layers)):
            return "excluded"
    return None


def going(units: Sequence[Unit], depth: float, exclude: Sequence[str], where: str) -> list[Unit]:
    """Choose the units that go. Raises `nothing_to_compress` where there are none; `invalid_request`, at the field
    `where`, for a depth beyond what can go."""
    if depth == 1:
        return []
    if not units:
        raise Refusal(
            "nothing_to_compress",
            f"depth {depth:g} takes residual blocks out, and the model has none: no layers around which their input is "
            "added to their output. Leave depth out, and give a width or a target.",
            field=where,
        )
    free = [unit for unit in units if why_it_stays(unit, exclude) is None]
    staying, least = floor(depth * len(units) + 0.5), max(1, len(units) - len(free))
    if staying < least:
        raise Refusal("invalid_request", _beyond(units, depth, exclude, least), field=where)
    chosen = staying - (len(units) - len(free))
    kept = {index * len(free) // chosen for index in range(chosen)}
    return [unit for place, unit in enumerate(free) if place not in kept]


def _beyond(units: Sequence[Unit], depth: float, exclude: Sequence[str], least: int) -> str:
    stay = [f"{unit[0].name}: {why}" for unit in units if (why := why_it_stays(unit, exclude)) is not None]
    cannot = f"{len(stay)} cannot go ({'; '.join(stay[:4])})" if stay else "one has to stay"
    return (
        f"depth {depth:g} leaves {floor(depth * len(units) + 0.5)} of {len(units)} blocks or layers, and {cannot}. Ask "
        f"for a depth of {least / len(units):.3f} at least, or cut the width too."
    )
