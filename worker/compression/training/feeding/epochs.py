"""Epoch after epoch of steps, without end, which can be left behind any step and taken up again."""

from collections.abc import Iterator
from typing import Any, Final

import torch

from worker.compression.training.feeding.batches import Batch, Batches

EPOCHS_PER_SEED: Final = 1_000_003


class Epochs:
    """Epochs are counted from 1, each in an order of its own, which follows from the seed and its number."""

    def __init__(self, batches: Batches, seed: int) -> None:
        self._batches, self._first_seed = batches, seed * EPOCHS_PER_SEED
        self._begin(1)

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        """The epoch and the batch, from where it is on."""
        while True:
            for batch in self._batches.shuffled(self._seed, self._taken, self._noise):
                self._taken += 1
                yield self._epoch, batch
            self._begin(self._epoch + 1)

    def steps(self) -> Iterator[tuple[int, list[Batch]]]:
        """The epoch and the batches of each optimizer step."""
        parts = []
        for epoch, batch in self:
            parts.append(batch)
            if batch.ends_step:
                yield epoch, parts
                parts = []

    def state_dict(self) -> dict[str, Any]:
        """Where it is: behind the batch that was taken last."""
        return {"epoch": self._epoch, "taken": self._taken, "noise": self._noise.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Before the first batch is taken."""
        self._begin(state["epoch"])
        self._taken = state["taken"]
        self._noise.set_state(state["noise"])

    def _begin(self, epoch: int) -> None:
        self._epoch, self._taken = epoch, 0
        self._noise = torch.Generator().manual_seed(self._seed)

    @property
    def _seed(self) -> int:
        return self._first_seed + self._epoch
