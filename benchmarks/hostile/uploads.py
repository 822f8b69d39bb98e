"""Uploads that run code, and mutations of all formats: against the readers alone, and through the real child."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random
from typing import Final

import numpy as np

from benchmarks.parts import Row
from tests.support.fuzzing import FORMATS, Format, mutants, read
from winnow.contract.declaration import Declaration
from worker.child.endings import Crashed, Failed, Finished, Stopped
from worker.child.protocol import Note
from worker.child.spec import InspectDataset, InspectModel, Limits
from worker.child.supervise import supervise

READERS_MUTATIONS: Final = 10_000
CHILD_MUTATIONS: Final = 300
LIMITS: Final = Limits(seconds=120, memory_bytes=4 * 2**30, mapped_bytes=2**30)
DECLARED: Final = [{"name": "image", "dtype": "float32", "shape": [1, 1, 4, 4]}]
PT2: Final = "tests/worker/compression/upload_gate/convert/pt2"
ATTACKS: Final = f"{PT2}/test_attacks.py::test_no_attack_runs_code_imports_a_module_or_reaches_a_file"

HELD = {
    ".pt2: a program not named .json": f"{ATTACKS}[expressions: a second program, not named .json]",
    ".pt2: an expression that a line break ends": f"{ATTACKS}[expressions: a comment that line breaks end]",
    ".pt2: an escaped key": f"{ATTACKS}[programs: a default factory, escaped]",
    ".pt2: names that become Python source": f"{ATTACKS}[programs: an input's name that is a default value]",
    ".pt2: all attacks, no filters, audit hook": f"{PT2}/test_attacks.py",
    ".pt2: written anew, versions by number, unknown by name": f"{PT2}/test_rebuild.py",
    ".pt2: expressions by a grammar of ours": f"{PT2}/schema/test_expressions.py",
    ".pt2: JSON once, trees, operators, names": f"{PT2}/test_parts.py",
    ".pt2: real programs still convert": f"{PT2}/test_architectures.py",
    "one strict reader of zips; 10^5 members before the directory is read": "tests/winnow/contract/test_strict_zip.py",
    "TorchScript is off by default": "tests/worker/compression/upload_gate/convert/test_torchscript.py",
    "18 s of fuzzing in the tests": "tests/worker/compression/test_fuzzing.py",
}


def rows(folder: Path) -> Iterator[Row]:
    yield _through_the_readers(folder / "readers")
    yield _through_the_child(folder / "child")
    yield _predictions(folder)
    yield _programs(folder)


def _through_the_readers(folder: Path) -> Row:
    outcomes, started = Counter[str](), time.monotonic()
    slowest = 0.0
    for format, count in _shares(READERS_MUTATIONS):
        for _, mutant in zip(range(count), mutants(format, Random(11)), strict=False):
            began = time.monotonic()
            outcomes.update(read(format, mutant, folder)[:1])
            slowest = max(slowest, time.monotonic() - began)
    extra = f"; {time.monotonic() - started:.0f} s, slowest {slowest:.2f} s"
    return _fuzzed("mutations against the strict readers", outcomes, extra)


def _through_the_child(folder: Path) -> Row:
    """Two at a time, each by a supervisor's process of its own."""
    work: list[tuple[Format, Path]] = []
    for format, count in _shares(CHILD_MUTATIONS):
        for number, mutant in zip(range(count), mutants(format, Random(12)), strict=False):
            own = folder / f"{format}-{number}".replace(" ", "-")
            own.mkdir(parents=True)
            (own.with_suffix(".upload")).write_bytes(mutant)
            work.append((format, own))
    with ProcessPoolExecutor(2) as pool:
        outcomes = Counter(pool.map(_in_child, work))
    return _fuzzed("mutations through the real child", outcomes, "")


def _shares(total: int) -> list[tuple[Format, int]]:
    return [
        (format, total // len(FORMATS) + (at < total % len(FORMATS))) for at, format in enumerate(FORMATS)
    ]


class _Nobody:
    """Watches, and never stops anything."""

    def note(self, note: Note) -> None: ...

    def tick(self) -> None: ...


def _in_child(work: tuple[Format, Path]) -> str:
    format, folder = work
    path = folder.with_suffix(".upload")
    task: InspectModel | InspectDataset
    if format == "npz":
        task = InspectDataset(
            kind="inspect_dataset",
            path=path,
            declaration=Declaration(),
            scratch=folder,
            max_unpacked_bytes=2**26,
        )
    else:
        kind = {"pt2": "torch_export", "torchscript": "torchscript"}.get(format, "onnx")
        task = InspectModel.model_validate(
            {
                **{"kind": "inspect_model", "path": path, "format": kind, "scratch": folder},
                **{"declared": DECLARED if format == "torchscript" else []},
                **{"allow_torchscript": True, "max_unpacked_bytes": 2**26},
            }
        )
    match supervise(task, LIMITS, folder, _Nobody()):
        case Finished():
            return "accepted"
        case Failed(problem=problem):
            leaked = " could not be read (" in problem.detail and problem.detail.startswith("The ")
            return (
                f"leaked {problem.detail}"
                if leaked and "Write it again" not in problem.detail
                else problem.code
            )
        case Crashed(how=how):
            return f"crashed: {how}"
        case Stopped(why=why):
            return f"crashed: {why}"


def _fuzzed(item: str, outcomes: Counter[str], extra: str) -> Row:
    bad = {outcome: count for outcome, count in outcomes.items() if outcome.startswith(("leaked", "crashed"))}
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    return Row("uploads", f"{outcomes.total()} {item}", "refused or accepted", told + extra, not bad)


def _predictions(folder: Path) -> Row:
    from tests.worker.compression.upload_gate.convert.pt2.test_rebuild import differences
    from worker.compression.upload_gate.convert import torch_export

    shared = Path(__file__).parents[3] / "shared"
    source, target = shared / "models" / "lenet5-mnist.pt2", folder / "lenet.onnx"
    torch_export.convert(source, target, max_bytes=2**30)
    images = np.load(shared / "data" / "mnist.npz")["x_test"].reshape(-1, 1, 28, 28).astype(np.float32) / 255
    count = sum(differences(source, target, part) for part in np.split(images, 10))
    return Row("uploads", "lenet5-mnist.pt2, 10,000 pictures", "0 differ", f"{count} differ", count == 0)


def _programs(folder: Path) -> Row:
    from tests.support import exported
    from tests.worker.compression.upload_gate.convert.pt2.test_architectures import difference

    worst, ways = 0.0, 0
    for make in exported.ALL:
        for strict in (False, True):
            (own := folder / f"{make.__name__}-{strict}").mkdir()
            worst, ways = max(worst, difference(make, own, strict=strict)), ways + 1
    told = f"{ways} converted, largest relative difference {worst:.1e}"
    return Row(
        "uploads",
        "programs exported by torch 2.13, traced and strict",
        "as torch answers",
        told,
        worst <= 1e-3,
    )
