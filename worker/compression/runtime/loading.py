"""Find out whether a runtime can load a file, in a process that does nothing else: it may crash or hang.

    python -m worker.compression.runtime.loading MODEL TARGET

prints {"why", "operators"}: why it cannot be loaded, null where it can, and the operators that stand against it.
"""

import json
import signal
import sys
from pathlib import Path
from typing import Any, Final, cast

from winnow.contract.target import Target
from worker.compression.runtime.executable import CannotConvert
from worker.compression.runtime.targets import opener

MAX_SECONDS: Final = 120
MAX_WHY_CHARACTERS: Final = 500


def try_loading(model: Path, target: Target) -> dict[str, Any]:
    """`loaded`, for which the kernel ends this process after `MAX_SECONDS`, whatever the runtime does."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(MAX_SECONDS)
    try:
        return loaded(model, target)
    finally:
        signal.alarm(0)


def loaded(model: Path, target: Target) -> dict[str, Any]:
    """Load the model on one thread, and say as `main` prints it what came of that."""
    try:
        opener(target)(model, 1)
    except Exception as error:  # the runtimes' own errors have no common base
        why = str(error).replace(str(model), model.name)[:MAX_WHY_CHARACTERS]
        operators = error.operators if isinstance(error, CannotConvert) else []
        return {"why": why or type(error).__name__, "operators": operators}
    return {"why": None, "operators": []}


def main() -> None:
    model, target = sys.argv[1:]
    print(json.dumps(try_loading(Path(model), cast(Target, target))))


if __name__ == "__main__":
    main()
