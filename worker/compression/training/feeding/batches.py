"""Rows of a dataset as tensors: shuffled anew each epoch, read as they are needed, augmented on the way."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
    """`feeds` by input name, `labels` one a row (None without numbers), `rows` their numbers in the arrays."""

    feeds: dict[str, torch.Tensor]
    labels: torch.Tensor | None
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device) -> "Batch":
        feeds = {name: x.to(device, non_blocking=True) for name, x in self.feeds.items()}
        labels = None if self.labels is None else self.labels.to(device, non_blocking=True)
        return Batch(feeds, labels, self.rows)


@dataclass(frozen=True)
class Batches:
    """Rows of `samples`, `size` at a time; only one batch and the next are in memory."""

    samples: Samples
    rows: Rows
    size: int
    augment: tuple[Augmentation, ...] = ()

    def __len__(self) -> int:
        """Count whole batches; a smaller rest counts only where there is no whole one."""
        return max(1, len(self.rows) // self.size)

    def shuffled(self, seed: int) -> Iterator[Batch]:
        """Go through whole batches, in an order that follows from the seed; the rest has its turn in another epoch."""
        generator = np.random.default_rng(seed)
        order = generator.permutation(self.rows)
        chunks = [np.sort(order[i * self.size : (i + 1) * self.size]) for i in range(len(self))]
        noise = torch.Generator().manual_seed(seed)
        for batch in self._ahead(chunks):
            yield Batch(augmented(batch.feeds, self.augment, noise), batch.labels, batch.rows)

    def ordered(self) -> Iterator[Batch]:
        """All rows once, as they are."""
        ends = range(0, len(self.rows), self.size)
        return self._ahead([self.rows[start : start + self.size] for start in ends])

    def _ahead(self, chunks: list[Rows]) -> Iterator[Batch]:
        """Read the next batch while this one is worked on."""
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self._read, chunks[0])
            for chunk in chunks[1:]:
                batch = coming.result()
                coming = reader.submit(self._read, chunk)
                yield batch
            yield coming.result()

    def _read(self, rows: Rows) -> Batch:
        feeds, labels = self.samples.at(rows)
        tensors = {name: torch.from_numpy(_writable(x)) for name, x in feeds.items()}
        if labels is None or labels.dtype.kind not in NUMBER_KINDS:
            return Batch(tensors, None, rows)
        return Batch(tensors, torch.from_numpy(_writable(labels)), rows)


VALIDATION_SHARE = 0.05
FEW_VALIDATION_ROWS = 200
"""Below this many rows the share grows, to a fifth of the data: 20 rows cannot show a loss of five points."""


def validation_rows(rows: int, share: float | None) -> int:
    """Count the rows that are held out; without a share a twentieth, more where that is few."""
    if share is not None:
        return int(rows * share)
    return max(int(rows * VALIDATION_SHARE), min(FEW_VALIDATION_ROWS, rows // 5))


def split(
    samples: Samples, share: float | None, size: int, augment: tuple[Augmentation, ...], seed: int
) -> tuple[Batches, Batches | None]:
    """Draw training and validation rows with the seed; None where the share gives no row."""
    rows, size = np.asarray(samples.rows), samples.fixed_batch or size
    fixed = samples.fixed_batch or 1
    held_out = validation_rows(len(rows), share) // fixed * fixed
    order = np.random.default_rng(seed).permutation(rows)
    training = Batches(samples, np.sort(order[held_out:]), min(size, len(rows) - held_out), augment)
    return training, Batches(samples, np.sort(order[:held_out]), size) if held_out else None


def _writable(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Copy what is read-only, as mapped files are: torch shares memory with numpy. Unsigned integers become int64."""
    wide = x.astype(np.int64) if x.dtype.kind == "u" and x.dtype.itemsize > 1 else x
    return wide if wide.flags.writeable else wide.copy()
