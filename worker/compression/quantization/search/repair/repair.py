"""All repairs, in order: what each leaves undone is left to the next."""

from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.preparation.scale_groups.rules import label_channels
from worker.compression.quantization.search.repair.apart import keep_sentinels_apart
from worker.compression.quantization.search.repair.even_channels import even_channels
from worker.compression.quantization.search.repair.float_joins import leave_joins_in_float
from worker.compression.quantization.search.repair.judge import Judge
from worker.compression.quantization.search.repair.repairs import Repair
from worker.compression.quantization.search.repair.uneven import Uneven, see_channels, uneven_values


def repair(static: Static, judge: Judge) -> list[Repair]:
    """Repair in place, and answer what was done; nothing is run but a few samples where nothing is uneven, and
    nothing changed where the outputs are far enough above their error."""
    repairs = keep_sentinels_apart(static, judge)
    uneven = _uneven(static) if static.quantizable() else []
    if not uneven or judge.is_good(static):
        return repairs
    reached = judge.snr_db(static)
    evened = even_channels(static, uneven, judge, reached)
    if evened:
        repairs, reached, uneven = [*repairs, *evened], evened[0].after_db, _uneven(static)
    return [*repairs, *leave_joins_in_float(static, uneven, judge, reached)]


def _uneven(static: Static) -> list[Uneven]:
    return uneven_values(static, see_channels(static, label_channels(static.edit)))
