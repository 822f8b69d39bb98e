"""Rotates what has outlier channels, where the structure allows it exactly."""

from collections.abc import Iterator, Sequence

from worker.compression.graph.channels.account import Pinned
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.preparation.rotation import rotate
from worker.compression.quantization.search.repair.judge import Judge
from worker.compression.quantization.search.repair.uneven_scales.equal_forms import EqualForm
from worker.compression.quantization.search.repair.uneven_scales.uneven import Uneven

SHOWN = 3


def rotated(static: Static, uneven: Sequence[Uneven], judge: Judge) -> Iterator[EqualForm]:
    """All that can be rotated at once, if any of what is uneven is no join; `static.obstacles` gets what cannot."""
    causes = [each for each in uneven if not each.joins]
    if not causes:
        return
    form = static.on_clone()
    made = rotate(form.edit)
    streams = (each for each in made.pinned if each.unit == "embedding")
    static.obstacles.update(dict.fromkeys(map(_sentence, streams)))
    names = made.names
    if names and judge.is_exact(static, form):
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        remedy = f"rotated, with all that reads it, where {', '.join(names[:SHOWN])}{more} write"
        yield EqualForm(form, "rotation", str(causes[0].value.name), causes[0].words, remedy)


def _sentence(pinned: Pinned) -> str:
    return f"The residual stream of {pinned.node!r} is not rotated: {pinned.reason}."
