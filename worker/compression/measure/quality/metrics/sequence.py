"""Sequences: lists of symbols against lists of symbols, by Levenshtein's distance (rapidfuzz).

cer = Σ edits / Σ symbols of the labels,   wer the same of words,   agreement = mean of 1 − edits / longer one
"""

from collections.abc import Callable

import numpy as np

from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Metric
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.measure import Floats, Measure, Value, mean_measure, ratio

Symbols = tuple[object, ...]


def sequence(metric: Metric, alphabet: list[str] | None) -> Measure:
    match metric:
        case "exact_match":
            return mean_measure(_exact, chance=lambda records: 0.0)
        case "cer":
            return Measure(_edits, _rate, _weighted_rate, chance=_everything_missing)
        case "wer":
            return Measure(_word_edits(alphabet), _rate, _weighted_rate, chance=_everything_missing)
        case "agreement":
            return mean_measure(_likeness)
        case _:
            raise AssertionError(f"{metric} is not of sequences")


def _exact(sequences: list[Symbols], truth: list[Symbols]) -> Array:
    return np.array([[p == t] for p, t in zip(sequences, truth, strict=True)], np.float64)


def _edits(sequences: list[Symbols], truth: list[Symbols]) -> Array:
    """Make records [n, 2]: the edits, and the symbols of the label."""
    from rapidfuzz.distance import Levenshtein

    pairs = zip(sequences, truth, strict=True)
    return np.array([[Levenshtein.distance(p, t), len(t)] for p, t in pairs], np.float64)


def _word_edits(alphabet: list[str] | None) -> Callable[[list[Symbols], list[Symbols]], Array]:
    if alphabet is None:
        raise Refusal(
            "invalid_request",
            "wer counts words, and numbers of symbols have none. Give evaluation.decode.alphabet, the symbols by their "
            "number, with ' ' between words.",
            field="evaluation.decode.alphabet",
        )

    def words(symbols: Symbols) -> tuple[str, ...]:
        return tuple("".join(map(str, symbols)).split())

    def record(sequences: list[Symbols], truth: list[Symbols]) -> Array:
        return _edits([*map(words, sequences)], [*map(words, truth)])

    return record


def _likeness(sequences: list[Symbols], others: list[Symbols]) -> Array:
    """Compute 1 − edits / length of the longer one; 1 where both are empty."""
    edits = _edits(sequences, others)[:, 0]
    longer = np.array([max(len(p), len(t)) for p, t in zip(sequences, others, strict=True)], np.float64)
    return 1 - ratio(edits, longer)[:, None]


def _weighted_rate(records: Array, weights: Floats) -> Floats:
    edits, length = (weights @ records).T
    return ratio(edits, length)


def _rate(records: Array) -> Value:
    return Value(float(_weighted_rate(records, np.ones((1, len(records))))[0]))


def _everything_missing(records: Array) -> float:
    """An empty answer lacks everything."""
    return 1.0
