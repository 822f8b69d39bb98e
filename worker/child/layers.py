"""`python -m worker.child.layers`: which layers of the sandbox this kernel, or this container, gives a child.

Found by entering the sandbox in a process that does nothing else: a probe would promise what is then forbidden.
"""

import json
import logging
import subprocess
import sys

from worker.child import kernel, sandbox
from worker.child.landlock import Reach
from worker.child.reach import OUR_CODE
from worker.child.sandbox import Layers

log = logging.getLogger(__name__)

PROBE_SECONDS = 30.0


def available_layers() -> Layers:
    """{"no_new_privileges": true, "seccomp": true, "landlock": 7, …}: what a child of this process would get.

    Takes a tenth of a second: call it once and keep the answer. `landlock` is the version of its interface, 0 where
    there is none. Empty where it cannot be found out.
    """
    command = [sys.executable, "-P", "-m", __name__]
    environment = {"PYTHONPATH": str(OUR_CODE)}
    try:
        probe = subprocess.run(
            command, capture_output=True, timeout=PROBE_SECONDS, check=True, env=environment
        )
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("could not find out how far children are shut in: %s", error)
        return {}
    layers: Layers = json.loads(probe.stdout.splitlines()[-1])  # behind what libraries print
    return layers


def main() -> None:
    subreaper = sandbox.holds("subreaper", lambda: kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1))
    enough = 2**40
    layers = sandbox.enter(memory_bytes=enough, mapped_bytes=enough, file_bytes=enough, reach=Reach())
    print(json.dumps(layers | {"subreaper": subreaper}))


if __name__ == "__main__":
    main()
