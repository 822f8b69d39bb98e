"""Best path of connectionist temporal classification (Graves et al. 2006, section 3.2): the best symbol at each time,
repeats merged, then blanks taken out."""

import numpy as np

from winnow.contract.decoding import Ctc
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.heads import misfit

Symbols = tuple[object, ...]


def best_paths(scores: Array, settings: Ctc) -> list[Symbols]:
    """Decode [n, time, symbols], or the symbols [n, time] that the model itself answers."""
    if scores.dtype.kind in "iu" and scores.ndim == 2:
        return [_collapsed(path, settings.blank, settings) for path in scores]
    if scores.ndim != 3:
        raise misfit(f"CTC needs an output [samples, time, symbols]; it is {list(scores.shape)}.")
    blank = settings.blank % scores.shape[2]
    return [_collapsed(path, blank, settings) for path in np.nan_to_num(scores, nan=-np.inf).argmax(axis=2)]


def _collapsed(path: Array, blank: int, settings: Ctc) -> Symbols:
    changed = np.r_[True, path[1:] != path[:-1]][: len(path)]
    return spelled(path[changed & (path != blank)], settings.alphabet)


def spelled(numbers: Array, alphabet: list[str] | None) -> Symbols:
    """Return the symbols by their number, numbers where there is no alphabet."""
    if alphabet is None:
        return tuple(int(n) for n in numbers)
    return tuple(alphabet[n] if n < len(alphabet) else int(n) for n in numbers.tolist())
