"""Run the loop on the data and keep what each graph is fed with: rows for steps that calibrate, and for measurements.

A row is one sample: what the graphs that run once and `first` are given, and what `then` is given at one and the same
step of all samples, so that caches are of one length. Samples whose own sizes are not the commonest are left out.

A merged decoder is `first` and `then` in one, and which branch runs is an input. Every second row has what it was given
first, with the caches of the later run, which that branch does not read: so each branch sees rows of one shape.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from winnow.contract.declaration import ArrayInput, Declaration
from winnow.contract.errors import Refusal
from worker.compression.data.source import Data, Source
from worker.compression.generation.loop import Feeds, Loop
from worker.compression.generation.prepared import Generation, singly
from worker.compression.ir.arrays import Array
from worker.compression.materials import Materials

MAX_ROWS: Final = 256
MAX_STEP: Final = 8
"""Of `then`: which of its runs is kept, at most."""


def captured(data: Data, generation: Generation, materials: Materials) -> Data:
    """The data with an array for each input of each graph, in files of the scratch folder: what calibrates and what
    judges. Other parts no step of a package reads.

    Raises what `open_samples` raises, and `model_does_not_run` where the loop does not.
    """
    capture = Capture(generation, materials, generation.original())
    calibration = data.calibration and capture.of(data.calibration, "calibration")
    evaluation = data.evaluation and capture.of(data.evaluation, "evaluation")
    return replace(data, calibration=calibration, evaluation=evaluation, training=None, selection=None)


@dataclass(frozen=True)
class Capture:
    generation: Generation
    materials: Materials
    loop: Loop

    @property
    def step(self) -> int:
        """The run of `then` that is kept, from 1: in the middle of an answer."""
        return max(1, min(MAX_STEP, self.generation.settings.max_tokens // 2))

    def of(self, source: Source, name: str) -> Source:
        """Rows captured of one source. Its labels stay behind: they are of whole answers, which no single run gives."""
        samples = self.generation.samples(source, self.materials)
        fed = enumerate(singly(samples, MAX_ROWS))
        rows = [self._row(feeds, without_cache=number % 2 == 1) for number, (feeds, _) in fed]
        commonest, count = Counter(map(_shapes, rows)).most_common(1)[0]
        kept = [row for row in rows if _shapes(row) == commonest]
        said = f"The loop of generate was run on {len(rows)} rows of the {name} data"
        apart = f"; {len(rows) - count} of other sizes than most are left out" if count < len(rows) else ""
        self.materials.progress.log(f"{said}{apart}.", rows=count)
        return self._written(kept, name)

    def _row(self, data: Feeds, *, without_cache: bool) -> Feeds:
        """What every graph is fed with on one sample, by the names of the one graph. `without_cache`: a merged decoder
        as it was at first."""
        seen: Counter[str] = Counter()
        row: Feeds = {}
        begun: Feeds = {}

        def watch(graph: str, feeds: Feeds) -> None:
            seen[graph] += 1
            named = {f"{graph}:{name}": x for name, x in feeds.items()}
            if graph != self.generation.plan.then.name or seen[graph] <= self.step + self._early:
                row.update(named)
            if graph == self.generation.plan.then.name and seen[graph] == 1:
                begun.update(named)

        self.loop.tokens(data, self.step + 1, None, watch)
        return self._at_first(row, begun) if without_cache else row

    def _at_first(self, row: Feeds, begun: Feeds) -> Feeds:
        """The row with what a merged decoder was given first in place of what it was given later, but its caches.
        The row itself where there is no such decoder, or prompts are of another length than the one token of later."""
        feeds = {feed.spec.name: feed.kind for feed in self.generation.plan.then.feeds}
        prefix = f"{self.generation.plan.then.name}:"
        first = {name: x for name, x in begun.items() if feeds[name.removeprefix(prefix)] != "past"}
        fits = all(x.shape == row[name].shape for name, x in first.items())
        return {**row, **first} if fits and "has_cache" in feeds.values() else row

    @property
    def _early(self) -> int:
        """Runs of `then` that are runs of `first`, too."""
        plan = self.generation.plan
        return int(plan.first.name == plan.then.name)

    def _written(self, rows: list[Feeds], name: str) -> Source:
        specs = self.generation.inputs
        arrays = {f"a{index}": _stacked(rows, spec.name, spec.batch_axis) for index, spec in enumerate(specs)}
        path = Path(self.materials.scratch) / f"captured-{name}.npz"
        np.savez(path, **arrays)  # type: ignore[arg-type]
        inputs = {spec.name: ArrayInput(array=f"a{index}") for index, spec in enumerate(specs)}
        return Source(path, Declaration.model_validate({"inputs": inputs}))


def _shapes(row: Feeds) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, x.shape) for name, x in sorted(row.items()))


def _stacked(rows: list[Feeds], name: str, axis: int | None) -> Array:
    """Rows [N, …] of one input: samples in front, whichever axis of the input counts them."""
    if name not in rows[0]:
        raise Refusal(
            "inputs_do_not_fit", f"The loop of generate never fed {name!r}: let it run longer (max_tokens).",
            field="generate.max_tokens",
        )  # fmt: skip
    return np.stack([row[name] if axis is None else row[name].take(0, axis) for row in rows])
