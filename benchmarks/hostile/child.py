"""Section 1, the child: what it can do once it was taken over, and what its layers cost."""

import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import onnx

from benchmarks.parts import Row
from tests.support.graphs import cnn
from worker.child.endings import Finished, Reason
from worker.child.layers import available_layers
from worker.child.protocol import Note
from worker.child.spec import InspectModel, Limits
from worker.child.supervise import supervise

SHUT_IN, SANDBOX = "tests/worker/child/test_shut_in.py", "tests/worker/child/test_sandbox.py"
REAL, SECCOMP = "tests/worker/child/test_real_work.py", "tests/worker/child/test_seccomp.py"
RUNNER = "tests/worker/test_runner.py"

HELD = {
    "sockets, exec, fork, ptrace, signals, files outside, its input changed": f"{SHUT_IN}::test_it_is_refused",
    "the data folder after all of that": f"{SHUT_IN}::test_the_data_is_as_it_was",
    "system calls of another architecture": f"{SHUT_IN}::test_a_call_of_another_architecture_ends_it",
    "the filter on x86_64 and aarch64, every number": SECCOMP,
    "setsid, double fork, a dead guard: strays end": (
        f"{SHUT_IN}::test_what_left_its_session_and_lost_its_parent_has_ended_too"
    ),
    "strays end when the worker is killed": f"{SHUT_IN}::test_it_ends_too_when_the_worker_is_killed",
    "a request to measure a file that is not its own": f"{SHUT_IN}::test_nothing_is_measured_that_is_not_its_own",
    "whoever dies, the group dies": f"{SANDBOX}::test_whoever_dies_the_whole_group_dies",
    "attacks on .pt2 whose code runs in the child": (
        "tests/worker/child/test_attacks.py::test_code_that_runs_in_the_child_reaches_nothing"
    ),
    "no_new_privs": f"{SANDBOX}::test_there_are_no_core_dumps_and_no_new_privileges",
    "which layers hold is told": "tests/worker/child/test_layers.py",
    "every format, training, pruning, measuring under all layers": REAL,
    "a .pt2 is not opened again for a job": f"{RUNNER}::test_what_was_never_converted_is_not_opened_by_a_job",
    "links, also hard ones, are not published": f"{RUNNER}::test_a_child_cannot_have_files_of_ours_published",
}
ROUNDS = 9
MOST_MS_MORE = 150.0


class _Silent:
    def note(self, note: Note) -> None: ...

    def tick(self) -> Reason | None:
        return None


def rows(folder: Path) -> Iterator[Row]:
    layers = available_layers()
    told = ", ".join(f"{name} {value}" for name, value in layers.items())
    yield Row("child", "layers of this kernel", "all", told, all(layers.values()))
    yield from _attacked(folder / "attacked")
    onnx.save(cnn(), folder / "model.onnx")
    costs: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for index in range(2 * ROUNDS):
        costs[index % 2 == 0].append(_inspected(folder, index))
    with_filters, without = (
        [statistics.median(each) for each in zip(*costs[on], strict=True)] for on in costs
    )
    wall, cpu = (1000 * (a - b) for a, b in zip(with_filters, without, strict=True))
    measured = (
        f"{1000 * with_filters[0]:.0f} ms, {wall:+.0f} ms; CPU {1000 * with_filters[1]:.0f} ms, {cpu:+.0f} ms"
    )
    asked = f"filters add at most {MOST_MS_MORE:.0f} ms of CPU time"
    yield Row("child", "inspecting a small model", asked, measured, cpu <= MOST_MS_MORE)


def _attacked(folder: Path) -> Iterator[Row]:
    """With all attacks on `.pt2`, of which torch's own loader runs the code of some."""
    from tests.support.attacks import ATTACKS
    from tests.worker.child.test_attacks import loaded_in_a_child

    folder.mkdir()
    ended, created = loaded_in_a_child(list(ATTACKS), folder)
    stopped = sum("PermissionError" in how for how in ended.values())
    measured = (
        f"{len(ended)} loaded by torch itself, {stopped} stopped by a layer, {len(created)} reached a file"
    )
    yield Row("child", "attacks on .pt2, without our reader", "0 reach a file", measured, not created)


def _inspected(folder: Path, index: int) -> tuple[float, float]:
    """Seconds, and seconds of CPU time, that one inspection takes; every other one has the filters."""
    scratch = folder / f"mdl_{index}" / "attempt-1"
    scratch.mkdir(parents=True)
    task = InspectModel(
        kind="inspect_model",
        path=folder / "model.onnx",
        format="onnx",
        declared=[],
        scratch=scratch,
        allow_torchscript=False,
        max_unpacked_bytes=2**34,
    )
    limits = Limits(seconds=120, memory_bytes=2**33, mapped_bytes=2**36)
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    ending = supervise(task, limits, scratch, _Silent(), filtered=index % 2 == 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not isinstance(ending, Finished):
        raise SystemExit(f"the inspection did not finish: {ending}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begun, cpu
