"""Joules for one run, from the counters of the CPU's packages (RAPL) or of the GPU (NVML).

A counter covers all that the package or the GPU does meanwhile, and what it takes when it does nothing. Both models run
in turns, so that what else runs weighs on both.

    J = Δ counter / runs        RAPL in µJ, which begins again at `max_energy_range_uj`; NVML in mJ
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from winnow.contract.report import Energy, Pair
from worker.compression.measure.network import Feed, Network

POWERCAP: Final = Path("/sys/class/powercap")
SECONDS: Final = 0.5
"""Of runs between two readings: the counters move a thousand times a second."""
TURNS: Final = 3
NO_CPU: Final = "No energy counter of the CPU can be read (/sys/class/powercap): {}."
NO_GPU: Final = "The GPU's energy counter cannot be read by NVML: {}."


class Unreadable(Exception):
    """Why there is no counter, in a sentence."""


@dataclass(frozen=True)
class Counter:
    """`joules` between two readings, whichever way the counter counts."""

    source: Literal["rapl", "nvml"]
    read: Callable[[], list[int]]
    joules: Callable[[list[int], list[int]], float]


def measure_energy(pair: tuple[Network, Network], feed: Feed, root: Path = POWERCAP) -> Energy:
    """Run both models in turns between readings. Never raises for a counter that cannot be read: `why` says it."""
    try:
        counter = _nvml() if pair[0].target == "onnxruntime-cuda" else rapl(root)
        spent = [0.0, 0.0]
        for _ in range(TURNS):
            for side, network in enumerate(pair):
                spent[side] += joules_for_a_run(counter, network, feed) / TURNS
    except Unreadable as why:
        return Energy(joules=None, source=None, why=str(why))
    before, after = spent
    return Energy(
        joules=Pair(before=before, after=after, ratio=after / before if before else None),
        source=counter.source,
        why=None,
    )


def joules_for_a_run(counter: Counter, network: Network, feed: Feed, seconds: float = SECONDS) -> float:
    """Raises `Unreadable`."""
    fitted = network.fit(feed)
    network.run_all(fitted)
    runs, end, start = 0, time.monotonic() + seconds, counter.read()
    while time.monotonic() < end or not runs:
        network.run_all(fitted)
        runs += 1
    return counter.joules(start, counter.read()) / runs


def rapl(root: Path = POWERCAP) -> Counter:
    """The counter of all packages together. Raises `Unreadable`."""
    try:
        domains = [zone for zone in sorted(root.iterdir()) if zone.name.startswith("intel-rapl:")]
        zones = [zone for zone in domains if (zone / "name").read_text().startswith("package")]
        if not zones:
            raise Unreadable(NO_CPU.format("there is none"))
        ranges = [int((zone / "max_energy_range_uj").read_text()) for zone in zones]
    except OSError as error:
        raise Unreadable(NO_CPU.format(error.strerror)) from error

    def read() -> list[int]:
        try:
            return [int((zone / "energy_uj").read_text()) for zone in zones]
        except OSError as error:
            raise Unreadable(NO_CPU.format(error.strerror)) from error

    def joules(start: list[int], end: list[int]) -> float:
        moved = (b - a if b >= a else b - a + most for a, b, most in zip(start, end, ranges, strict=True))
        return sum(moved) / 1e6

    read()
    return Counter("rapl", read, joules)


def _nvml() -> Counter:
    """The counter of the first GPU. Raises `Unreadable`."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception as error:  # NVML's own types, or no driver at all
        raise Unreadable(NO_GPU.format(error)) from error

    def read() -> list[int]:
        return [int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))]

    return Counter("nvml", read, lambda start, end: (end[0] - start[0]) / 1e3)
