"""Chooses bfloat16 on a CPU where it is faster: both are tried on a step of the training itself.

CPUs with AMX or AVX512-BF16 multiply bfloat16 numbers in hardware; whether that pays depends on the shapes. Weights,
gradients and the loss stay float32, as on GPUs.
"""

import time
from collections.abc import Iterator
from typing import Final

import torch

from winnow.contract.recipe import Training
from worker.compression.engine.tensors import restore_snapshot, take_snapshot
from worker.compression.machine.cpu import cpu_flags
from worker.compression.training.feeding.batches import Batch
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.loop.optimization.descent import gradients, optimizer_for

BFLOAT16_FLAGS: Final = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""As /proc/cpuinfo calls them, on x86 and Arm."""
MIN_SECONDS: Final = 30.0
"""A training that float32 does in less is not worth a trial."""
TRIES: Final = 3
MAX_SHARE: Final = 0.8
"""Of float32's time that bfloat16 may take."""
MAX_DIFFERENCE: Final = 0.05
"""Of the loss, relative: more tells that this network needs float32."""


def choose_precision(
    pair: StudentTeacher, settings: Training, steps: Iterator[tuple[int, list[Batch]]], total: int
) -> None:
    """Set the pair's hardware to bfloat16 where `precision` leaves that open and it is faster on the first of `steps`,
    of which the training has `total`. Weights, statistics and random states are as before; without a choice no data is
    read."""
    hardware = pair.hardware
    if hardware.half or not _is_open(settings, hardware.device) or not BFLOAT16_FLAGS & cpu_flags():
        return
    _, batches = next(steps)
    before, random = take_snapshot(pair.learning), torch.get_rng_state()
    pair.learning.train()
    try:
        single, float_loss = _timed(pair, settings, batches, half=False)
        if single * total < MIN_SECONDS:
            return
        single = min(single, *(_timed(pair, settings, batches, half=False)[0] for _ in range(TRIES - 1)))
        halves = [_timed(pair, settings, batches, half=True) for _ in range(TRIES)]
        close = abs(halves[-1][1] - float_loss) <= MAX_DIFFERENCE * abs(float_loss)
        hardware.half = close and min(seconds for seconds, _ in halves) <= MAX_SHARE * single
    finally:
        restore_snapshot(pair.learning, before)
        torch.set_rng_state(random)


def _is_open(settings: Training, device: torch.device) -> bool:
    """Steps that train through roundings of their own are left in float32."""
    return settings.precision == "auto" and device.type == "cpu" and settings.takes == "float"


def _timed(
    pair: StudentTeacher, settings: Training, batches: list[Batch], *, half: bool
) -> tuple[float, float]:
    """Seconds that the gradients of the step take, and its loss."""
    pair.hardware.half = half
    optimizer = optimizer_for(pair.learning.parameters(), settings, 0.0)
    try:
        begun = time.perf_counter()
        loss = gradients(optimizer, pair.losses, batches)
        return time.perf_counter() - begun, loss
    finally:
        pair.hardware.half = False
        optimizer.zero_grad(set_to_none=True)
