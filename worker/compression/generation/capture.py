"""Run the loop on the data and keep what each graph is fed with: rows for steps that calibrate, and for measurements.

A row is one sample: what the graphs that run once and `first` are given, and what `then` is given at one and the same
step of all samples, so that caches are of one length. Samples whose own sizes are not the commonest are left out.

A merged decoder is `first` and `then` in one, and which branch runs is an input. A sample is two rows then: what it was
given later, and what it was given first with the caches of the later run, which that branch does not read. Tokens,
masks and positions of the two are of different length, as prompts and single tokens are: their rows lie end to end.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from winnow.contract.declaration import ArrayInput, Declaration
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.formats.tables.ragged import OFFSETS
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
        runs = [self._runs(feeds) for feeds, _ in singly(samples, MAX_ROWS // (1 + self._merged))]
        commonest, count = Counter(map(_shapes, runs)).most_common(1)[0]
        rows = [row for run in runs if _shapes(run) == commonest for row in run]
        said = f"The loop of generate was run on {len(runs)} rows of the {name} data"
        apart = f"; {len(runs) - count} of other sizes than most are left out" if count < len(runs) else ""
        self.materials.progress.log(f"{said}{apart}.", rows=count)
        return self._written(rows, name)

    @property
    def _merged(self) -> bool:
        """Whether one graph is both decoders, told apart by an input."""
        plan = self.generation.plan
        return self._early and "has_cache" in {feed.kind for feed in plan.then.feeds}

    def _runs(self, data: Feeds) -> list[Feeds]:
        """What every graph is fed with on one sample, by the names of the one graph: later, and as a merged decoder was
        at first."""
        seen: Counter[str] = Counter()
        later: Feeds = {}
        begun: Feeds = {}

        def watch(graph: str, feeds: Feeds) -> None:
            seen[graph] += 1
            named = {f"{graph}:{name}": x for name, x in feeds.items()}
            if graph != self.generation.plan.then.name or seen[graph] <= self.step + self._early:
                later.update(named)
            if graph == self.generation.plan.then.name and seen[graph] == 1:
                begun.update(named)

        self.loop.tokens(data, self.step + 1, None, watch)
        return [later, self._at_first(later, begun)] if self._merged else [later]

    def _at_first(self, later: Feeds, begun: Feeds) -> Feeds:
        """What a merged decoder was given first, all but the caches, which are empty then and may be of any length."""
        then = self.generation.plan.then
        caches = {f"{then.name}:{feed.spec.name}" for feed in then.feeds if feed.kind == "past"}
        return {**later, **{name: x for name, x in begun.items() if name not in caches}}

    @property
    def _early(self) -> bool:
        """Whether the first run of `then` is that of `first`, too."""
        return self.generation.plan.first.name == self.generation.plan.then.name

    def _written(self, rows: list[Feeds], name: str) -> Source:
        specs = self.generation.inputs
        arrays: Feeds = {}
        for index, spec in enumerate(specs):
            arrays |= _column(f"a{index}", [_row(feeds, spec) for feeds in rows])
        path = Path(self.materials.scratch) / f"captured-{name}.npz"
        np.savez(path, **arrays)  # type: ignore[arg-type]
        inputs = {spec.name: ArrayInput(array=f"a{index}") for index, spec in enumerate(specs)}
        return Source(path, Declaration.model_validate({"inputs": inputs}))


def _shapes(runs: list[Feeds]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, x.shape) for row in runs for name, x in sorted(row.items()))


def _row(feeds: Feeds, spec: TensorSpec) -> Array:
    """A sample of one input, without the axis that counts samples, where the input has one."""
    if spec.name not in feeds:
        raise Refusal(
            "inputs_do_not_fit", f"The loop of generate never fed {spec.name!r}: let it run longer (max_tokens).",
            field="generate.max_tokens",
        )  # fmt: skip
    x = feeds[spec.name]
    return x if spec.batch_axis is None else x.take(0, spec.batch_axis)


def _column(name: str, rows: list[Array]) -> Feeds:
    """Rows of one shape as [N, …]; of different length end to end along their first axis, with where each begins."""
    if len({row.shape for row in rows}) == 1:
        return {name: np.stack(rows)}
    ends = np.cumsum([0, *map(len, rows)])
    return {name: np.concatenate(rows), f"{name}{OFFSETS}": ends}
