"""`python -m worker.runtimes`: what this installation can measure with, in a process of its own.

ONNX Runtime is imported to ask for its providers, which the parent of forking processes must not do.
"""

import json
import logging
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

log = logging.getLogger(__name__)

ASK_SECONDS = 60.0
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
LONGEST = 100


def installed_runtimes() -> dict[str, str]:
    """{"onnxruntime-cpu": "1.32.0", "torch": "2.13.0"}: name → version. Empty where it cannot be found out."""
    command = [sys.executable, "-P", "-m", __name__]
    environment = {"PYTHONPATH": str(Path(__file__).parents[1])}
    try:
        asked = subprocess.run(command, capture_output=True, timeout=ASK_SECONDS, check=True, env=environment)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("could not find out which runtimes are installed: %s", error)
        return {}
    found: dict[str, str] = json.loads(asked.stdout.splitlines()[-1])  # behind what libraries print
    return {name: told[:LONGEST] for name, told in found.items()}


def main() -> None:
    import onnxruntime

    from worker.compression.runtime.session import PROVIDERS, providers

    found = dict.fromkeys(sorted(PROVIDERS[name] for name in providers()), onnxruntime.__version__)
    packages = {"openvino-cpu": "openvino", "torch": "torch"}
    found |= {name: of for name, package in packages.items() if (of := _version(package)) is not None}
    if (driver := _driver()) is not None:
        found["nvidia-driver"] = driver
    print(json.dumps(found))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _driver() -> str | None:
    try:
        told = re.search(r"Kernel Module.*?\s(\d+[\d.]*)\s", NVIDIA_DRIVER.read_text())
    except OSError:
        return None
    return told[1] if told else None


if __name__ == "__main__":
    main()
