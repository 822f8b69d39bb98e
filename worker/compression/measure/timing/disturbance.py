"""Tell what else ran on this process's CPUs while something was timed, by the kernel's own accounts in /proc.

    others   CPU time of everybody else and what the hypervisor gave away, of all the time that our CPUs had
    waited   how long our threads were ready to run and had no CPU, of the time that passed, for each thread timed

The kernel counts CPU time in ticks of 10 ms: one tick of each CPU may be a mistake, and is left out.
Nothing of ours is imported: `fresh` measures its memory. What /proc lacks counts as 0.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

MAX_OTHERS_SHARE: Final = 0.1
"""Quiet recordings on two cores had at most 0.01, those beside one busy process 0.5 and more."""
MAX_WAITED_SHARE: Final = 0.05
"""Quiet recordings had 0.00, those beside two busy processes 0.37 and more."""
STAT: Final = Path("/proc/stat")
TASKS: Final = Path("/proc/self/task")
TICKS: Final = os.sysconf("SC_CLK_TCK")
USER, NICE, SYSTEM, IRQ, SOFTIRQ, STEAL = 0, 1, 2, 5, 6, 7
"""Columns of a CPU in /proc/stat; user time includes that of guests."""


@dataclass(frozen=True)
class Disturbance:
    others: float
    waited: float

    def why_untold(self) -> str | None:
        """Say why times beside it tell nothing, as a clause; None where it was quiet enough."""
        if self.others > MAX_OTHERS_SHARE:
            return f"other programs used {min(1.0, self.others):.0%} of the CPUs"
        if self.waited > MAX_WAITED_SHARE:
            return f"what was timed waited for a CPU for {min(1.0, self.waited):.0%} of the time"
        return None


class Accounts(NamedTuple):
    """Seconds: of the clock, that our CPUs were busy, of our own CPU time, that our threads waited."""

    clock: float
    busy: float
    own: float
    waited: float


class Watch:
    """Counts from its making on; `threads` are as many as what is timed may use."""

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._cpus = sorted(os.sched_getaffinity(0))
        self.begun = self._look()

    def seen(self) -> Disturbance:
        passed, busy, own, waited = (
            after - before for before, after in zip(self.begun, self._look(), strict=True)
        )
        passed = max(passed, 1e-6)
        return Disturbance(
            others=max(0.0, (busy - own) / len(self._cpus) - 1 / TICKS) / passed,
            waited=max(0.0, waited) / (passed * self._threads),
        )

    def _look(self) -> Accounts:
        return Accounts(time.perf_counter(), _busy(self._cpus), time.process_time(), _waited())


def _busy(cpus: list[int]) -> float:
    try:
        lines = [line.split() for line in STAT.read_text().splitlines() if line.startswith("cpu")]
    except OSError:
        return 0.0
    wanted = {f"cpu{cpu}" for cpu in cpus}
    columns = (USER, NICE, SYSTEM, IRQ, SOFTIRQ, STEAL)
    return sum(int(line[1 + column]) for line in lines if line[0] in wanted for column in columns) / TICKS


def _waited() -> float:
    """The second number of each thread's `schedstat`, in nanoseconds; a thread may end meanwhile."""
    total = 0
    try:
        for task in TASKS.iterdir():
            total += int((task / "schedstat").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return total / 1e9
