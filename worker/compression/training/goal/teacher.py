"""The teacher: another graph, run once a batch without gradients; on request its answers are kept on disk.

They are kept by a row's number, so they are those of the row as it is: not augmented. Where the answers to a batch are
not one row for each of its samples, all of the same size, nothing is kept, and the teacher answers anew each time.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from worker.compression.engine.module import GraphModule
from worker.compression.ir.arrays import Array
from worker.compression.training.feeding.batches import Batch
from worker.compression.training.feeding.hardware import Hardware
from worker.compression.training.goal.feature_distillation.relations import all_together


class Teacher:
    """`folder` is where answers are kept; None to compute them anew each time. `heads`: how many heads are beside the
    samples on the first axis of these values. `why_not_kept` says as a clause why answers cannot be kept."""

    def __init__(
        self,
        module: GraphModule,
        hardware: Hardware,
        rows: int,
        folder: Path | None,
        heads: Mapping[str, int],
        why_not_kept: str | None = None,
    ) -> None:
        self.module, self._hardware, self._rows, self._heads = module, hardware, rows, heads
        self._folder = None if why_not_kept else folder
        self.why_not_kept = why_not_kept
        self._stores: dict[str, np.memmap] = {}
        self._shapes: dict[str, torch.Size] = {}
        self._kept_rows = np.zeros(rows, bool)
        module.eval().requires_grad_(False)

    @torch.no_grad()
    def outputs(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Compute the module's values, or read them from the folder, in float32, one row a sample where they have any;
        heads are together."""
        if self._folder is not None and self._kept_rows[batch.rows].all():
            stored = {name: torch.from_numpy(store[batch.rows]) for name, store in self._stores.items()}
            return {
                name: value.to(self._hardware.device).view(-1, *self._shapes[name])
                for name, value in stored.items()
            }
        with self._hardware.arithmetic():
            computed = self.module(self._hardware.feeds(batch.feeds))
        outputs = all_together({name: value.float() for name, value in computed.items()}, self._heads)
        if self._folder is not None:
            self._keep(outputs, batch, self._folder)
        return outputs

    def _keep(self, outputs: Mapping[str, torch.Tensor], batch: Batch, folder: Path) -> None:
        """Keep one flat row a sample: of a sample that is a whole input (time first) outputs have any length."""
        self.why_not_kept = next(
            (why for name, value in outputs.items() if (why := self._why_not(name, value, batch))), None
        )
        if self.why_not_kept is not None:
            self._folder = None
            return
        for index, (name, value) in enumerate(outputs.items()):
            flat = _flat(value, len(batch))
            if name not in self._stores:
                self._shapes[name] = value.shape[1:]
                self._stores[name] = np.lib.format.open_memmap(
                    folder / f"teacher-{index}.npy", "w+", np.float32, (self._rows, flat.shape[1])
                )
            self._stores[name][batch.rows] = flat
        self._kept_rows[batch.rows] = True

    def _why_not(self, name: str, value: torch.Tensor, batch: Batch) -> str | None:
        if len(batch) > 1 and (not value.ndim or len(value) != len(batch)):
            shape = list(value.shape)
            return f"its {name!r} has the shape {shape} for {len(batch)} samples, and not a row for each"
        store = self._stores.get(name)
        if store is not None and store.shape[1] * len(batch) != value.numel():
            return f"how much of {name!r} there is depends on the sample"
        return None


def _flat(value: torch.Tensor, rows: int) -> Array:
    flat: Array = value.reshape(rows, -1).cpu().numpy()
    return flat
