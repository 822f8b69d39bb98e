"""`python -m worker.runtimes`: what this installation can measure with, in a process of its own.

ONNX Runtime is imported to ask for its providers, which the parent of forking processes must not do.
"""

import functools
import json
import logging
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 60.0
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
MAX_VERSION_CHARACTERS = 100


def installed_runtimes() -> dict[str, str]:
    """{"onnxruntime-cpu": "1.32.0", "torch": "2.13.0"}: name → version. Empty where that cannot be found out, which is
    then tried again at the next call."""
    try:
        return _looked_up()
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("could not find out which runtimes are installed: %s", error)
        return {}


@functools.cache
def _looked_up() -> dict[str, str]:
    command = [sys.executable, "-P", "-m", __name__]
    environment = {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.run(
        command, capture_output=True, timeout=TIMEOUT_SECONDS, check=True, env=environment
    )
    versions: dict[str, str] = json.loads(process.stdout.splitlines()[-1])  # behind what libraries print
    return {name: number[:MAX_VERSION_CHARACTERS] for name, number in versions.items()}


def main() -> None:
    import onnxruntime

    from worker.compression.runtime.session import PROVIDERS

    usable = onnxruntime.get_available_providers()
    targets = sorted(target for target, provider in PROVIDERS.items() if provider in usable)
    versions = dict.fromkeys(targets, onnxruntime.__version__)
    packages = {"openvino-cpu": "openvino", "torch": "torch"}
    versions |= {
        name: installed for name, package in packages.items() if (installed := _version(package)) is not None
    }
    if (driver := _driver()) is not None:
        versions["nvidia-driver"] = driver
    print(json.dumps(versions))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _driver() -> str | None:
    try:
        match = re.search(r"Kernel Module.*?\s(\d+[\d.]*)\s", NVIDIA_DRIVER.read_text())
    except OSError:
        return None
    return match[1] if match else None


if __name__ == "__main__":
    main()
