"""The teacher: another graph, run once a batch without gradients; on request its outputs are cached on disk.

The cache goes by a row's number, so its outputs are those of the row as it is: not augmented.
"""

from pathlib import Path

import numpy as np
import torch

from winnow.contract.errors import Refusal
from worker.compression.engine.module import GraphModule
from worker.compression.training.feeding.batches import Batch
from worker.compression.training.feeding.hardware import Hardware


class Teacher:
    """`folder` is where outputs are cached; None to compute them anew each time."""

    def __init__(self, module: GraphModule, hardware: Hardware, rows: int, folder: Path | None) -> None:
        self.module, self._hardware, self._rows, self._folder = module, hardware, rows, folder
        self._cached: dict[str, np.memmap] = {}
        self._shapes: dict[str, torch.Size] = {}
        self._cached_rows = np.zeros(rows, bool)
        module.eval().requires_grad_(False)

    @torch.no_grad()
    def outputs(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Compute the module's values, or read them from the cache, in float32, one row a sample."""
        if self._folder is not None and self._cached_rows[batch.rows].all():
            cached = {name: torch.from_numpy(store[batch.rows]) for name, store in self._cached.items()}
            return {
                name: value.to(self._hardware.device).view(-1, *self._shapes[name])
                for name, value in cached.items()
            }
        with self._hardware.arithmetic():
            outputs = self.module(self._hardware.feeds(batch.feeds))
        outputs = {name: value.float() for name, value in outputs.items()}
        if self._folder is not None:
            self._cache(outputs, batch)
        return outputs

    def _cache(self, outputs: dict[str, torch.Tensor], batch: Batch) -> None:
        """Cache one flat row a sample: of a sample that is a whole input (time first) outputs have any length."""
        for index, (name, value) in enumerate(outputs.items()):
            if len(value) != len(batch) > 1:
                raise Refusal(
                    "teacher_does_not_fit",
                    f"The teacher's {name!r} has the shape {list(value.shape)} for {len(batch)} samples: it cannot be "
                    "kept sample by sample. Leave cache_teacher out.",
                )
            flat = value.reshape(len(batch), -1).cpu().numpy()
            if name not in self._cached:
                assert self._folder is not None
                self._shapes[name] = value.shape[1:]
                self._cached[name] = np.lib.format.open_memmap(
                    self._folder / f"teacher-{index}.npy", "w+", np.float32, (self._rows, flat.shape[1])
                )
            self._cached[name][batch.rows] = flat
        self._cached_rows[batch.rows] = True
