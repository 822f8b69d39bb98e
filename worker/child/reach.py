"""The files that every child may open, whatever its task: its libraries, what tells of the machine, its devices."""

import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from worker.child.landlock import Reach

OUR_CODE = Path(__file__).parents[2]
"""The folder that holds `app`, `winnow` and `worker`. Not to be opened as a whole: the data may lie in it."""

SYSTEM_LIBRARIES = (
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/cuda",
    "/nix/store",
)
OF_THE_MACHINE = (
    "/proc",
    "/sys/devices/system",
    "/sys/bus/pci/devices",
    "/sys/class/powercap",
    "/sys/devices/virtual/powercap",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/urandom",
    "/dev/random",
)
PCI = "/sys/devices/pci*"
"""Which devices there are: ONNX Runtime looks for GPUs."""
OF_GPUS = ("/sys/devices", "/sys/bus/pci", "/sys/class/drm", "/sys/module/nvidia")
"""Read by CUDA's driver library."""
GPUS = "/dev/nvidia*"


def always(module: str, *, cuda: bool) -> Reach:
    """For a child that runs this module; with the GPUs where there is CUDA."""
    own = ("app", "winnow", "worker", module.partition(".")[0])
    gpus = tuple(Path("/").glob(GPUS[1:])) if cuda else ()
    return Reach(
        readable=(
            *map(Path, OF_THE_MACHINE),
            *Path("/").glob(PCI[1:]),
            *(OUR_CODE / package for package in own),
            *OUR_CODE.glob("winnow*-info"),
            *map(Path, SYSTEM_LIBRARIES),
            *_python(),
            *(map(Path, OF_GPUS) if cuda else ()),
        ),
        rewritable=(Path("/dev/null"),),
        devices=gpus,
    )


def _python() -> Iterator[Path]:
    """The interpreter, its standard library and its packages; never a whole prefix, in which data may lie."""
    yield Path(sys.executable)
    for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}:
        yield from (Path(prefix, name) for name in ("lib", "lib64", "pyvenv.cfg"))
    yield from (Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    yield from map(Path, site.getsitepackages())
    yield from (Path(folder) for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder)
