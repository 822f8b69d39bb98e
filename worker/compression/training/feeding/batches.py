"""Rows of a dataset as tensors: shuffled anew each epoch, read as they are needed, augmented on the way."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from winnow.contract.declaration import Augmentation
from worker.compression.data.samples import Samples
from worker.compression.training.feeding.augment import augmented

Rows = npt.NDArray[np.int64]
NUMBER_KINDS = "biuf"
"""Kinds of labels that can be learned from."""


@dataclass(frozen=True)
class Batch:
    """`feeds` by input name, `labels` one a row (None without numbers), `rows` their numbers in the arrays; `padded` as
    `Fed` has it. It may be a part of an optimizer step: the `share` of its samples, and whether it is the last."""

    feeds: dict[str, torch.Tensor]
    labels: torch.Tensor | None
    rows: Rows
    padded: Mapping[int, int] = field(default_factory=dict)
    share: float = 1.0
    ends_step: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device) -> "Batch":
        feeds = {name: x.to(device, non_blocking=True) for name, x in self.feeds.items()}
        labels = None if self.labels is None else self.labels.to(device, non_blocking=True)
        return replace(self, feeds=feeds, labels=labels)


@dataclass(frozen=True)
class Batches:
    """Rows of `samples`, `size` in an optimizer step, those of one shape together; `at_once` of them in a batch, or
    all. Only one batch and the next are in memory."""

    samples: Samples
    rows: Rows
    size: int
    augment: tuple[Augmentation, ...] = ()
    at_once: int | None = None

    def __len__(self) -> int:
        """Count whole steps; a smaller rest counts only where rows of its shape have no whole one."""
        return sum(max(1, len(group) // self.size) for group in self._groups)

    @cached_property
    def _groups(self) -> list[Rows]:
        return [np.asarray(group) for group in self.samples.with_rows(self.rows).groups]

    @property
    def largest(self) -> Rows:
        """The rows that are of the largest shape."""
        return self._groups[-1]

    def shuffled(self, seed: int, start: int = 0, noise: torch.Generator | None = None) -> Iterator[Batch]:
        """Go through whole steps, in an order that follows from the seed; the rest has its turn in another epoch.

        From the batch with the number `start` on; `noise`, which augments, as it was then, else it follows from the
        seed, too.
        """
        generator = np.random.default_rng(seed)
        chunks = []
        for group in self._groups:
            order = generator.permutation(group)
            whole = max(1, len(group) // self.size)
            chunks += [np.sort(order[i * self.size : (i + 1) * self.size]) for i in range(whole)]
        if len(self._groups) > 1:
            chunks = [chunks[i] for i in generator.permutation(len(chunks))]
        noise = noise or torch.Generator().manual_seed(seed)
        parts = [part for chunk in chunks for part in self._parts(chunk)][start:]
        for batch, (_, share, ends_step) in zip(
            self._ahead([rows for rows, _, _ in parts]), parts, strict=True
        ):
            feeds = augmented(batch.feeds, self.augment, noise)
            yield replace(batch, feeds=feeds, share=share, ends_step=ends_step)

    def _parts(self, step: Rows) -> list[tuple[Rows, float, bool]]:
        """The batches of a step: their rows, share of its samples, whether it is the last. Where the model fixes its
        batch, all are whole."""
        fixed = self.samples.fixed_batch or 1
        step = step[: max(fixed, len(step) // fixed * fixed)]
        size = self.at_once or len(step)
        cuts = [step[start : start + size] for start in range(0, len(step), size)]
        return [(rows, len(rows) / len(step), rows is cuts[-1]) for rows in cuts]

    def ordered(self) -> Iterator[Batch]:
        """All rows once, as they are."""
        size = self.at_once or self.size
        return self._ahead(
            [g[start : start + size] for g in self._groups for start in range(0, len(g), size)]
        )

    def _ahead(self, chunks: list[Rows]) -> Iterator[Batch]:
        """Read the next batch while this one is worked on."""
        if not chunks:
            return
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self._read, chunks[0])
            for chunk in chunks[1:]:
                batch = coming.result()
                coming = reader.submit(self._read, chunk)
                yield batch
            yield coming.result()

    def _read(self, rows: Rows) -> Batch:
        fed, labels = self.samples.at(rows)
        tensors = {name: torch.from_numpy(_writable(x)) for name, x in fed.feeds.items()}
        if labels is None or labels.dtype.kind not in NUMBER_KINDS:
            return Batch(tensors, None, rows, fed.padded)
        return Batch(tensors, torch.from_numpy(_writable(labels)), rows, fed.padded)


VALIDATION_SHARE = 0.05
FEW_VALIDATION_ROWS = 200
"""Below this many rows the share grows, to a fifth of the data: 20 rows cannot show a loss of five points."""


def validation_rows(rows: int, share: float | None) -> int:
    """Count the rows that are held out; without a share a twentieth, more where that is few."""
    if share is not None:
        return int(rows * share)
    return max(int(rows * VALIDATION_SHARE), min(FEW_VALIDATION_ROWS, rows // 5))


def split(
    samples: Samples,
    share: float | None,
    size: int,
    augment: tuple[Augmentation, ...],
    seed: int,
    at_once: int | None = None,
) -> tuple[Batches, Batches | None]:
    """Draw training and validation rows with the seed; None where the share gives no row. Where the model fixes its
    batch, that is worked on at once, and a step has as many of them as its size holds, one at least."""
    rows, fixed, at_once = np.asarray(samples.rows), samples.fixed_batch or 1, samples.fixed_batch or at_once
    held_out = validation_rows(len(rows), share) // fixed * fixed
    order = np.random.default_rng(seed).permutation(rows)
    size = min(max(fixed, size // fixed * fixed), len(rows) - held_out)
    training = Batches(samples, np.sort(order[held_out:]), size, augment, at_once)
    return training, Batches(samples, np.sort(order[:held_out]), at_once or size) if held_out else None


def _writable(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Copy what is read-only, as mapped files are: torch shares memory with numpy. Unsigned integers become int64."""
    wide = x.astype(np.int64) if x.dtype.kind == "u" and x.dtype.itemsize > 1 else x
    return wide if wide.flags.writeable else wide.copy()
