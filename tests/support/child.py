"""A child in the real guard and sandbox whose work is what the dataset's declaration says, in `constants`."""

import os
import signal
import subprocess
import sys
import time
from typing import Any

from app.contract.errors import Refusal
from worker.child import __main__ as entry
from worker.child.spec import InspectDataset, Task
from worker.compression.progress import Progress

FACTS: dict[str, Any] = {"samples": 3, "arrays": {}, "inputs": {}, "target": None}


def perform(task: Task, progress: Progress) -> dict[str, Any]:
    assert isinstance(task, InspectDataset)
    order = next(iter(task.declaration.constants), "succeed")
    match order:
        case "refuse":
            raise Refusal("invalid_dataset", "this one is refused")
        case "raise":
            raise RuntimeError("secret: /home/somebody")
        case "exhaust":
            bytearray(1 << 44)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "grow":
            kept = []
            while True:
                kept.append(os.urandom(1 << 24))
                time.sleep(0.02)
        case "hang":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)  # measuring"])
            progress.log("hanging", pid=os.getpid())
            time.sleep(600)
        case "babble":
            os.write(int(sys.argv[2]), b"this is no message\n")
            print("x" * 100_000, file=sys.stderr)
        case "environment":
            progress.log("environment", **os.environ)
        case "outside":
            return {"facts": FACTS, "converted": "/etc/passwd"}
    progress.step(0, "int8_static")
    progress.advance(0.5)
    return {"facts": FACTS}


if __name__ == "__main__":
    entry.perform = perform
    entry.main()
