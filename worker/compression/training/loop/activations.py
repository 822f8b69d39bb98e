"""Keeps the activations of a batch for its gradients, or computes them again where memory is short."""

from dataclasses import replace
from typing import Any, Final

import torch

from winnow.contract.recipe import Training
from worker.compression.machine.memory import free_bytes
from worker.compression.training.feeding.batches import Batches
from worker.compression.training.goal.student_teacher import StudentTeacher

MAX_SHARE: Final = 0.5
"""Of the memory that is free: gradients of activations, weights and the optimizer need room, too."""
LOOKED_AT: Final = 2
"""Samples, of the largest, whose activations are counted: those of a batch are as many times more."""


def choose_activations(pair: StudentTeacher, settings: Training, training: Batches) -> None:
    """Set whether the pair's module recomputes. What is counted changes no weights and no statistics."""
    mode = settings.activation_checkpointing
    pair.module.recomputes = mode == "always" or (mode == "auto" and _is_short(pair, training))


def _is_short(pair: StudentTeacher, training: Batches) -> bool:
    largest = training.largest
    rows = training.samples.fixed_batch or min(LOOKED_AT, len(largest))
    at_once = training.samples.fixed_batch or min(training.at_once or training.size, training.size)
    looked_at = replace(training, rows=largest[:rows], size=rows, augment=(), at_once=None)
    device = pair.hardware.device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_bytes()
    return activation_bytes(pair, looked_at) * at_once / rows > MAX_SHARE * free


def activation_bytes(pair: StudentTeacher, batches: Batches) -> int:
    """Count the bytes that the first batch's gradients need, without weights and what shares their memory."""
    own = {p.untyped_storage().data_ptr() for p in pair.learning.parameters()}
    sizes: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    def same(tensor: Any) -> Any:
        return tensor

    pair.learning.eval()
    random = torch.get_rng_state()
    with torch.autograd.graph.saved_tensors_hooks(count, same):
        loss = pair.loss(next(batches.ordered()))
    del loss
    torch.set_rng_state(random)
    return sum(sizes.values())
