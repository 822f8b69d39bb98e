"""The teacher: another graph, run once a batch without gradients; on request its answers are kept on disk.

A kept answer is found again by its row's number, so it is that of the row as it is: not augmented.
"""

from pathlib import Path

import numpy as np
import torch

from winnow.contract.errors import Refusal
from worker.compression.engine.module import GraphModule
from worker.compression.training.feeding.batches import Batch
from worker.compression.training.feeding.hardware import Hardware


class Teacher:
    """`folder` is where answers are kept; None to compute them anew each time."""

    def __init__(self, module: GraphModule, hardware: Hardware, rows: int, folder: Path | None) -> None:
        self.module, self._hardware, self._rows, self._folder = module, hardware, rows, folder
        self._kept: dict[str, np.memmap] = {}
        self._shapes: dict[str, torch.Size] = {}
        self._known = np.zeros(rows, bool)
        module.eval().requires_grad_(False)

    @torch.no_grad()
    def answers(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The values that it was made for, in float32, one row a sample."""
        if self._folder is not None and self._known[batch.rows].all():
            kept = {name: torch.from_numpy(store[batch.rows]) for name, store in self._kept.items()}
            return {
                name: value.to(self._hardware.device).view(-1, *self._shapes[name])
                for name, value in kept.items()
            }
        with self._hardware.arithmetic():
            answers = self.module(self._hardware.feeds(batch.feeds))
        answers = {name: value.float() for name, value in answers.items()}
        if self._folder is not None:
            self._keep(answers, batch)
        return answers

    def _keep(self, answers: dict[str, torch.Tensor], batch: Batch) -> None:
        """One flat row a sample: a sample that is a whole input (time first) may have an answer of any length."""
        for index, (name, value) in enumerate(answers.items()):
            if len(value) != len(batch) > 1:
                raise Refusal(
                    "teacher_does_not_fit",
                    f"The teacher's {name!r} has the shape {list(value.shape)} for {len(batch)} samples: it cannot be "
                    "kept sample by sample. Leave cache_teacher out.",
                )
            flat = value.reshape(len(batch), -1).cpu().numpy()
            if name not in self._kept:
                assert self._folder is not None
                self._shapes[name] = value.shape[1:]
                self._kept[name] = np.lib.format.open_memmap(
                    self._folder / f"teacher-{index}.npy", "w+", np.float32, (self._rows, flat.shape[1])
                )
            self._kept[name][batch.rows] = flat
        self._known[batch.rows] = True
