"""`python -m worker.child FD FOLDER`: guard, sandbox, work, and one last message with what came of it.

The specification is the first line of stdin; messages go to the descriptor FD. FOLDER, its scratch, stands there for
whoever looks at a list of processes. Whatever takes long to import comes
after the sandbox: the guard stays small, and loading a model is measured in a process that has little in memory.
"""

import faulthandler
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from worker.child import guard, reach, sandbox
from worker.child.imports import import_on_use, uncollected
from worker.child.landlock import Reach
from worker.compression.machine.memory import LIMIT_VARIABLE
from worker.compression.measure.timing.lock_file import PATH_VARIABLE, alone_path, time_alone


def main(perform: Callable[..., dict[str, Any]] | None = None) -> None:
    """`perform` is the work, if it is not `worker.child.work.perform`."""
    line = sys.stdin.buffer.readline()
    specification, descriptor = json.loads(line), int(sys.argv[1])
    guard.fork_under_guard(specification["parent"])
    _leave_stdout_to_guard()
    os.set_inheritable(descriptor, False)
    faulthandler.enable()  # a segmentation fault says where, to the operator
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    _enter_sandbox(specification)
    task = specification["task"]
    if (measure := LIGHT.get(task["kind"])) is not None:
        os.write(descriptor, json.dumps({"type": "done", "result": measure(task)}).encode() + b"\n")
    else:
        import_on_use()
        with uncollected():
            import tempfile

            from worker.child.messages import Messages
            from worker.child.work import send_outcome

        # `tempfile` tries where it can write, and says of a full disk that there is no such folder
        tempfile.tempdir = specification["files"]["own"]
        send_outcome(line, Messages(descriptor, specification["patience_seconds"]), perform)


def _leave_stdout_to_guard() -> None:
    """Its end tells the worker that the guard has ended, whatever the work has started since."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _enter_sandbox(specification: dict[str, Any]) -> None:
    limits, files = specification["limits"], specification["files"]
    os.environ[LIMIT_VARIABLE] = str(limits["memory_bytes"])
    locks = [Path(os.environ[PATH_VARIABLE])]
    if specification["alone"]:
        time_alone()
        locks.append(alone_path())
    own = Reach(
        readable=tuple(map(Path, files["lent"])),
        changeable=tuple(map(Path, [files["own"], *files["shared"]])),
        rewritable=tuple(locks),
    )
    sandbox.enter(
        memory_bytes=limits["memory_bytes"],
        mapped_bytes=limits["mapped_bytes"],
        file_bytes=limits["mapped_bytes"],
        reach=reach.always(_package(), cuda=sandbox.on_cuda()).joined(own),
        filtered=specification["filtered"],
    )


def _package() -> str:
    """The package that this program was started from, which it may go on to import."""
    name = getattr(sys.modules["__main__"].__spec__, "name", "worker")
    return str(name).partition(".")[0]


def _load_model(task: dict[str, Any]) -> dict[str, Any]:
    from worker.compression.measure.apart.fresh import feed_of, measure

    return measure(Path(task["model"]), feed_of(Path(task["feed"])), task["threads"], task["target"])


def _try_loading(task: dict[str, Any]) -> dict[str, Any]:
    from worker.compression.runtime.loading import try_loading

    return try_loading(Path(task["model"]), task["target"])


LIGHT: Final[dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "load_model": _load_model,
    "try_loading": _try_loading,
}
"""What is done with little more imported than the runtime that loads a model."""


if __name__ == "__main__":
    main()
