"""What is told of this kernel is what a process in the sandbox finds."""

import json
import subprocess
import sys
from pathlib import Path

from worker.child.layers import available_layers

ENTER = """
import json
from pathlib import Path
from worker.child import sandbox
from worker.child.landlock import Reach
sandbox.enter(memory_bytes=1 << 40, mapped_bytes=1, file_bytes=1, reach=Reach(readable=(Path("/proc"),)))
lines = open("/proc/self/status").read().splitlines()
print(json.dumps(dict(line.split(":", 1) for line in lines)))
"""


def test_every_layer_is_told_as_the_kernel_shows_it() -> None:
    layers = available_layers()
    assert set(layers) == {
        *("network_namespace", "no_capabilities", "no_new_privileges", "landlock", "seccomp", "subreaper")
    }
    entered = subprocess.run(
        [sys.executable, "-c", ENTER], cwd=Path.cwd(), capture_output=True, text=True, check=True
    )
    status = {name: value.strip() for name, value in json.loads(entered.stdout).items()}
    assert layers["no_new_privileges"] == (status["NoNewPrivs"] == "1")
    assert layers["seccomp"] == (status["Seccomp"] == "2")
    assert layers["no_capabilities"] == (int(status["CapEff"], 16) == 0)


def test_they_are_found_anew_by_a_command() -> None:
    """What an operator asks in a container."""
    ran = subprocess.run(
        [sys.executable, "-m", "worker.child.layers"],
        cwd=Path.cwd(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ran.stdout) == available_layers()
