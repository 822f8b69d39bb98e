"""Rotates what has outlier channels, where the structure allows it exactly and where that was measured to help."""

from collections.abc import Sequence

from worker.compression.graph.channels.account import Pinned
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.preparation.rotation import rotate
from worker.compression.quantization.search.repair.judge import MIN_GAIN_DB, Judge
from worker.compression.quantization.search.repair.repairs import Repair
from worker.compression.quantization.search.repair.uneven_scales.uneven import Uneven

SHOWN = 3


def rotate_streams(
    static: Static, uneven: Sequence[Uneven], judge: Judge, before: float, a_little: Sequence[Uneven] = ()
) -> list[Repair]:
    """Change `static` in place, and answer what that brought; `before` is its signal to noise. What is uneven
    `a_little` is the cause where nothing is more."""
    causes = [each for each in uneven or a_little if not each.joins]
    if not causes:
        return []
    turned = static.on_clone()
    made = rotate(turned.edit)
    names = made.names
    static.obstacles.update(
        dict.fromkeys(_sentence(each) for each in made.pinned if each.unit == "embedding")
    )
    if not names or not judge.is_exact(static, turned):
        return []
    after = judge.snr_db(turned)
    if after < before + MIN_GAIN_DB:
        return []
    turned.observe(lambda _: None)
    static.become(turned)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    remedy = f"rotated, with all that reads it, where {', '.join(names[:SHOWN])}{more} write"
    return [Repair("rotation", str(causes[0].value.name), causes[0].words, remedy, before, after)]


def _sentence(pinned: Pinned) -> str:
    return f"The residual stream of {pinned.node!r} is not rotated: {pinned.reason}."
