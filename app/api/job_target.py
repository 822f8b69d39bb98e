"""The runtime that a job is to be measured on, against what the workers have."""

from collections.abc import Sequence
from typing import get_args

from app.storage.records import Worker
from winnow.contract.capability import INSPECT
from winnow.contract.errors import Refusal
from winnow.contract.target import JobTarget, Target, measured_on


def check_target(target: JobTarget, workers: Sequence[Worker]) -> None:
    """Raise `target_unavailable` where workers run jobs and none has the runtime that times for this target.

    Without workers the job is taken and waits for one, as any job does; a worker that could not find out what it has
    may have everything.
    """
    runtime = measured_on(target)
    known = [worker.runtimes for worker in workers if {*worker.capabilities} - {INSPECT}]
    if known and all(runtimes and runtime not in runtimes for runtimes in known):
        usable = [name for name in get_args(Target) if any(name in runtimes for runtimes in known)]
        raise Refusal(
            "target_unavailable",
            f"No worker has {runtime}; they have {', '.join(usable)}. Ask for one of these, or the operator to install "
            "it.",
            field="target",
        )
