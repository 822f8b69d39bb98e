"""What this process may use of its machine: cores, memory, GPUs, as affinity and control groups have it."""

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Final

import psutil

CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_GROUPS: Final = Path("/proc/self/cgroup")
NVIDIA: Final = Path("/proc/driver/nvidia/gpus")
CPU_FACTS: Final = Path("/proc/cpuinfo")
VISIBLE_GPUS: Final = "CUDA_VISIBLE_DEVICES"

MEMORY_OF_A_WORKER: Final = 4 * 2**30
CORES_OF_A_WORKER: Final = 2
MOST_WORKERS: Final = 8


def usable_cores() -> int:
    """As many as the affinity has, or as the control groups give time of; at least 1."""
    return max(1, min([len(os.sched_getaffinity(0)), *map(ceil, _quotas())]))


def usable_memory_bytes() -> int:
    """The machine's, or the least that a control group gives."""
    texts = (*_read("memory", "memory.max"), *_read("memory", "memory.limit_in_bytes"))
    return min([psutil.virtual_memory().total, *(int(text) for text in texts if text.isdecimal())])


def visible_gpus() -> list[str]:
    """The numbers or names by which CUDA is told which of the GPUs to use, of those that this process may see."""
    listed = os.environ.get(VISIBLE_GPUS)
    if listed is not None:
        return [name for name in listed.replace(" ", "").split(",") if name and name != "-1"]
    return [str(number) for number, _ in enumerate(_models_of_gpus())]


def device() -> str:
    """What this process computes on, for people: the GPUs, or the processor."""
    gpus = [_models_of_gpus()[int(name)] for name in visible_gpus() if _is_known(name)]
    return ", ".join(gpus)[:200] or _processor()


def sensible_workers() -> int:
    """How many workers for jobs this machine carries: one for each GPU; without one a few that have two cores each, and
    two of them at least where there are two cores, so that nothing waits behind a training; none without its memory."""
    cores, memory = usable_cores(), usable_memory_bytes()
    by_cores = min(MOST_WORKERS, max(cores // CORES_OF_A_WORKER, min(cores, 2)))
    return len(visible_gpus()) or max(1, min(by_cores, memory // MEMORY_OF_A_WORKER))


def _quotas() -> Iterator[float]:
    """Cores that control groups give time of."""
    for text in _read("cpu", "cpu.max"):
        most, period = text.split()
        if most != "max":
            yield int(most) / int(period)
    quotas, periods = _read("cpu", "cpu.cfs_quota_us"), _read("cpu", "cpu.cfs_period_us")
    for quota, every in zip(quotas, periods, strict=False):
        if int(quota) > 0:
            yield int(quota) / int(every)


def _read(controller: str, name: str) -> list[str]:
    """A file of this process's control group, and of all that this lies in, as far as they can be seen."""
    texts = []
    for folder in _groups(controller):
        try:
            texts.append((folder / name).read_text().strip())
        except OSError:
            continue
    return texts


def _groups(controller: str) -> Iterator[Path]:
    """In version 2 all controllers have one tree, in version 1 each its own."""
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = CGROUPS / controller if controllers else CGROUPS
        own = root / path.lstrip("/")
        yield from [folder for folder in (own, *own.parents) if folder == root or root in folder.parents]


def _models_of_gpus() -> list[str]:
    try:
        folders = sorted(NVIDIA.iterdir())
        facts = [_facts(folder / "information") for folder in folders]
    except OSError:
        return []
    return [of_one.get("Model", "GPU") for of_one in facts]


def _is_known(name: str) -> bool:
    return name.isdecimal() and int(name) < len(_models_of_gpus())


def _processor() -> str:
    try:
        return _facts(CPU_FACTS).get("model name", os.uname().machine)[:200]
    except OSError:
        return os.uname().machine


def _facts(file: Path) -> dict[str, str]:
    """`name : value`, a line each; the first of a name."""
    facts: dict[str, str] = {}
    for line in file.read_text().splitlines():
        name, colon, value = line.partition(":")
        if colon:
            facts.setdefault(name.strip(), value.strip())
    return facts
