"""Forms of a model whose floats compute the same: each is judged, and the best one taken."""

from collections.abc import Iterable
from dataclasses import dataclass

from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.repair.judge import GOOD_DB, MIN_GAIN_DB, Judge
from worker.compression.quantization.search.repair.repairs import Kind, Repair


@dataclass(frozen=True)
class EqualForm:
    """A changed clone, of which no range is measured yet. `kind`, `value`, `cause` and `remedy` are a `Repair`'s."""

    static: Static
    kind: Kind
    value: str
    cause: str
    remedy: str


def take_best(static: Static, forms: Iterable[EqualForm], judge: Judge, before: float) -> list[Repair]:
    """Let `static` become the best form, and answer what that brought; `before` is its signal to noise.

    A later form has to bring `MIN_GAIN_DB` more than those before it, and none is made where the outputs are good.
    """
    best, reached = None, before
    for form in forms:
        after = judge.snr_db(form.static)
        if after >= reached + MIN_GAIN_DB:
            best, reached = form, after
        if reached >= GOOD_DB:
            break
    if best is None:
        return []
    best.static.observe(lambda _: None)
    static.become(best.static)
    return [Repair(best.kind, best.value, best.cause, best.remedy, before, reached)]
