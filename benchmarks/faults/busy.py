"""The speed-up that a job tells beside processes that keep the CPUs busy: right within its interval, or not told.

The truth is measured first, on a quiet machine: run this while nothing else runs.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.parts import Row
from benchmarks.pruning import MODELS
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Latency
from worker.compression.data.source import Data
from worker.compression.machine.threads import usable_threads
from worker.compression.measure.timing.lock import PATH_VARIABLE
from worker.compression.measure.timing.quiet import WAIT_VARIABLE
from worker.compression.options import Options
from worker.compression.pipeline import compress

MEASURE: Final = "tests/worker/compression/measure/timing/test_quiet.py"
COMPRESSION: Final = "tests/worker/compression/"
HELD: Final = {
    "beside busy processes: compare, requirement, verdict": (
        f"{MEASURE}::test_beside_busy_processes_no_speed_is_told_and_every_place_says_so"
    ),
    "quiet is waited for within a bound": f"{MEASURE}::test_a_quiet_machine_is_waited_for_so_long_and_no_longer",
    "the baseline against itself, and the spread of rounds": (
        f"{MEASURE}::test_the_control_and_the_spread_decide_what_is_told"
    ),
    "our own work is not taken for others'": f"{MEASURE}::test_our_own_work_is_nobody_elses",
    "the command line prints it": "tests/winnow/cli/test_report.py::test_a_speed_that_could_not_be_told_is_no_number",
    "int8 chooses without time": (
        f"{COMPRESSION}quantization/test_int8.py::test_what_cannot_be_timed_is_chosen_without_time_and_the_report_says_so"
    ),
    "mixed_precision chooses without time": (
        f"{COMPRESSION}quantization/test_mixed_precision.py"
        "::test_without_times_bytes_stand_in_for_them_and_the_target_is_not_met"
    ),
    "channel_pruning chooses without time": (
        f"{COMPRESSION}channel_pruning/test_channel_pruning.py"
        "::test_where_no_time_can_be_told_the_macs_decide_and_the_target_is_not_met"
    ),
}
TIMES: Final = 20
TRUTHS: Final = 5
WAITS: Final = 2
SESSIONS: Final = 1.02
"""Two sessions of one file differ by so much, steadily (`recommendation.FLOOR`)."""
RECIPE: Final = {"steps": [{"kind": "channel_pruning", "criterion": "l2", "repair": False}]}
BURN: Final = """
import sys, threading, time
import numpy as np
from worker.compression.measure.apart.parent import die_with_parent
die_with_parent()
threads, on, off = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
square = np.ones((300, 300), np.float32)
def burn():
    while True:
        end = time.monotonic() + on
        while time.monotonic() < end:
            square @ square
        time.sleep(off)
for _ in range(threads):
    threading.Thread(target=burn, daemon=True).start()
print("burning", flush=True)
time.sleep(1e6)
"""


def rows(folder: Path) -> Iterator[Row]:
    os.environ[PATH_VARIABLE] = str(folder / "lock")
    os.environ[WAIT_VARIABLE] = "600"
    truths = [_job(folder / f"truth-{number}") for number in range(TRUTHS)]
    told = [found.speedup for found in truths if found.speedup is not None]
    spread = f"{min(told):.3f} to {max(told):.3f}" if told else "nothing"
    yield Row(
        "busy",
        "quiet: the truth",
        "told each time",
        f"{len(told)} of {TRUTHS} told: {spread}",
        len(told) == TRUTHS,
    )
    if not told:
        return
    os.environ[WAIT_VARIABLE] = str(WAITS)
    cores = usable_threads()
    for name, threads, on, off in (
        (f"a process on all {cores} cores", cores, 1.0, 0.0),
        ("a process on one core", 1, 1.0, 0.0),
        (f"bursts of 50 ms on all {cores} cores, 50 ms apart", cores, 0.05, 0.05),
        (f"bursts of 1 s on all {cores} cores, 3 s apart", cores, 1.0, 3.0),
    ):
        with _burning(threads, on, off):
            found = [_job(folder / f"{threads}-{on}-{off}-{number}") for number in range(TIMES)]
        yield _judged(name, found, min(told), max(told))


def _judged(name: str, found: list[Latency], low: float, high: float) -> Row:
    untold = sum(each.speedup is None for each in found)
    right = sum(_right(each, low, high) for each in found)
    wrong = ", ".join(f"{each.speedup:.2f}" for each in found if each.speedup and not _right(each, low, high))
    measured = f"{right} right, {untold} not told, {len(found) - right - untold} wrong {wrong}".strip()
    asked = f"right within its interval or not told, {TIMES} of {TIMES}"
    return Row("busy", f"speed-up beside {name}", asked, measured, right + untold == len(found))


def _right(found: Latency, low: float, high: float) -> bool:
    """Its interval, as wide as sessions differ, reaches what was told when it was quiet."""
    if found.speedup_interval is None:
        return False
    lower, upper = found.speedup_interval
    return lower / SESSIONS <= high and upper * SESSIONS >= low


def _job(out: Path) -> Latency:
    options = Options(benchmark=Benchmark())
    report = compress(
        MODELS / "resnet20-cifar10.onnx", Recipe.model_validate(RECIPE), Data(), out, options=options
    )
    return report.latency[0]


@contextmanager
def _burning(threads: int, on: float, off: float) -> Iterator[None]:
    command = [sys.executable, "-c", BURN, str(threads), str(on), str(off)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.5)
        yield
        process.kill()
