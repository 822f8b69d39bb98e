"""Answers before and after: how many tokens are equal, how likely the true ones are, how many come in a second."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Final

import numpy as np

from winnow.contract.report import GenerationReport
from worker.compression.data.source import Data
from worker.compression.generation.loop import Feeds, Loop
from worker.compression.generation.prepared import COMPRESSED, ORIGINAL, Generation, singly
from worker.compression.ir.arrays import Array
from worker.compression.ir.garbage import no_garbage_collection
from worker.compression.materials import Materials
from worker.compression.measure.compare import pair_of
from worker.compression.measure.timing.disturbance import Watch
from worker.compression.measure.timing.interleaved import Turns, fast_times
from worker.compression.measure.timing.lock import measuring
from worker.compression.measure.timing.quiet import Patience
from worker.compression.packages.write import WrittenPackage

MAX_SAMPLES: Final = 64
TIMED_SAMPLES: Final = 3
ROUNDS: Final = 9
MAX_TOTAL_MS: Final = 120_000.0

Row = tuple[Feeds, Array | None]


@dataclass(frozen=True)
class Generations:
    """Both loops, on one sample at a time; `rows` with their labels."""

    generation: Generation
    files: WrittenPackage
    rows: Sequence[Row]
    materials: Materials

    def report(self) -> GenerationReport:
        settings, threads = self.generation.settings, self.materials.options.benchmark.thread_counts[0]
        pair = self._loops(None)
        answers = [
            [loop.tokens(feeds, settings.max_tokens, settings.end_token) for feeds, _ in self.rows]
            for loop in pair
        ]
        before, after = answers
        perplexities = [perplexity(loop, self.rows, settings.end_token) for loop in pair]
        turns = self._timed(self._loops(threads))
        untold = turns.untold(1, self.materials.options.seed)
        speedup, bounds = (None, None) if untold else turns.speedup(1, self.materials.options.seed)
        known = [p for p in perplexities if p is not None]
        return GenerationReport(
            samples=len(self.rows),
            tokens=sum(map(len, before)),
            token_agreement=agreement(before, after),
            equal_answers=float(np.mean([a == b for a, b in zip(before, after, strict=True)])),
            perplexity=pair_of(*known) if len(known) == len(pair) else None,
            tokens_per_second=None
            if untold
            else pair_of(*(settings.max_tokens / (ms / 1e3) for ms in _medians(turns))),
            speedup=speedup,
            speedup_interval=bounds,
            untold=untold,
        )

    def _loops(self, threads: int | None) -> tuple[Loop, Loop]:
        files = {graph.name: graph.path for graph in self.files.graphs}
        return self.generation.original(threads), self.generation.loop(files, COMPRESSED, threads)

    def _timed(self, pair: tuple[Loop, Loop]) -> Turns:
        """Answers of `max_tokens` each, whether or not they end before: the same work for both."""
        progress, options = self.materials.progress, self.materials.options
        feeds = [feeds for feeds, _ in self.rows[:TIMED_SAMPLES]]
        with measuring(progress):
            patience = Patience(progress)

            def once() -> Turns:
                watch = Watch(options.benchmark.thread_counts[0])
                warm = sum(sum(self._times(loop, feeds[:1])) for loop in pair)
                fits = 3 / 2 * warm * ROUNDS * len(feeds) <= MAX_TOTAL_MS
                return self._turns(pair, feeds if fits else feeds[:1], watch)

            return patience.until_quiet(once, lambda turns: turns.untold(1, options.seed))

    def _turns(self, pair: tuple[Loop, Loop], feeds: list[Feeds], watch: Watch) -> Turns:
        times = [np.empty((ROUNDS, len(feeds))) for _ in pair]
        control = np.empty((ROUNDS, len(feeds)))
        with no_garbage_collection():
            for number in range(ROUNDS):
                for loop, own in zip(pair, times, strict=True):
                    own[number] = self._times(loop, feeds)
                control[number] = self._times(pair[0], feeds)
        return Turns(times, control, watch.seen())

    def _times(self, loop: Loop, samples: Iterable[Feeds]) -> list[float]:
        """Milliseconds of each answer."""
        times = []
        for feeds in samples:
            begun = perf_counter_ns()
            loop.tokens(feeds, self.generation.settings.max_tokens, None)
            times.append((perf_counter_ns() - begun) / 1e6)
        return times


def measure_generation(
    generation: Generation, data: Data, files: WrittenPackage, materials: Materials
) -> GenerationReport:
    """Answer rows of the data that nothing was calibrated on, where there are such, by both packages."""
    source = data.evaluation or data.calibration
    assert source is not None, "admission wants data"
    rows = [*singly(generation.samples(source, materials), MAX_SAMPLES)]
    materials.progress.log(f"{ORIGINAL.capitalize()} and {COMPRESSED} answer {len(rows)} samples.")
    return Generations(generation, files, rows, materials).report()


def agreement(before: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> float:
    """The share of the tokens of `before` that `after` has at the same place."""
    equal = sum(
        a == b for one, other in zip(before, after, strict=True) for a, b in zip(one, other, strict=False)
    )
    return equal / sum(map(len, before))


def perplexity(loop: Loop, rows: Iterable[Row], end_token: int) -> float | None:
    """exp(−1/T · Σ log p(tᵢ | t₁ … tᵢ₋₁)) over all true tokens up to the end; None where a row has none.

    Labels are whole numbers, one row each; negative ones are padding, and so is what follows the end.
    """
    total, count = 0.0, 0
    for feeds, label in rows:
        true = true_tokens(label, end_token)
        if not true:
            return None
        chosen: list[int] = []
        for token, scores in zip(true, loop.scores(feeds, chosen), strict=False):
            total -= float(scores[token] - scores.max() - np.log(np.exp(scores - scores.max()).sum()))
            chosen.append(token)
        count += len(true)
    return float(np.exp(total / count)) if count else None


def true_tokens(label: Array | None, end_token: int) -> list[int]:
    if not isinstance(label, np.ndarray) or label.dtype.kind not in "iu":
        return []
    tokens = [int(token) for token in label.reshape(-1) if token >= 0]
    return tokens[: tokens.index(end_token) + 1] if end_token in tokens else tokens


def _medians(turns: Turns) -> list[float]:
    """Milliseconds of an answer, of both."""
    first = np.concatenate([turns.times[0], turns.control], axis=1)
    return [float(np.median(fast_times(first))), float(np.median(fast_times(turns.times[1])))]
