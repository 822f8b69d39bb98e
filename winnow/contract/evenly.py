"""Which residual blocks of a network stay when a share of them goes: evenly spaced ones, of a transformer whole layers.

Of N layers of which P cannot go, K = ⌊depth · N + ½⌋ stay: those P, and of the F others the layers ⌊i · F / (K − P)⌋,
as DistilBERT takes every second one (Sanh et al. 2019, arXiv:1910.01108).
"""

from collections.abc import Sequence
from math import floor
from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.glob import matches_any
from winnow.contract.model import HOLDS_OTHERS, ResidualBlock

SHOWN: Final = 4
"""Blocks that a sentence names."""

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
    """Choose the units that go. Raises `nothing_to_compress` where none can; `invalid_request`, at the field `where`,
    for a depth beyond what can go, or one so near to 1 that all would stay."""
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
    if not free:
        detail = f"None of the model's {_blocks(units)} can go ({_staying(units, exclude)}). Leave depth out."
        raise Refusal("nothing_to_compress", detail, field=where)
    staying, least = floor(depth * len(units) + 0.5), max(1, len(units) - len(free))
    if staying < least:
        raise Refusal("invalid_request", _beyond(units, depth, exclude, least), field=where)
    if staying == len(units):
        detail = f"depth {depth:g} leaves all of the model's {_blocks(units)}. Ask for less than " + (
            f"{1 - 0.5 / len(units):.3f}, or leave it out."
        )
        raise Refusal("invalid_request", detail, field=where)
    chosen = staying - (len(units) - len(free))
    kept = {index * len(free) // chosen for index in range(chosen)}
    return [unit for place, unit in enumerate(free) if place not in kept]


def _beyond(units: Sequence[Unit], depth: float, exclude: Sequence[str], least: int) -> str:
    stays = _staying(units, exclude)
    cannot = f"these cannot go: {stays}" if stays else "one has to stay"
    return (
        f"depth {depth:g} leaves {floor(depth * len(units) + 0.5)} of the model's {_blocks(units)}, and {cannot}. Ask "
        f"for a depth of {least / len(units):.3f} at least, or cut the width too."
    )


def _staying(units: Sequence[Unit], exclude: Sequence[str]) -> str:
    """What stays, with the reasons, the first of them."""
    stay = [f"{unit[0].name}: {why}" for unit in units if (why := why_it_stays(unit, exclude)) is not None]
    return "; ".join(stay[:SHOWN]) + (f"; {len(stay) - SHOWN} more" if len(stay) > SHOWN else "")


def _blocks(units: Sequence[Unit]) -> str:
    kind = "layers" if any(block.attends for unit in units for block in unit) else "residual blocks"
    return f"{len(units)} {kind}"
