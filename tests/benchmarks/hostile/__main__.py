"""Runs the parts one after the other and prints their rows as one table."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table

from tests.benchmarks.hostile.row import Row

HERE = Path(__file__).parent
NOT_PARTS = ("__main__", "row")


def main() -> None:
    table = Table("part", "item", "asked", "measured", "met", "held by", title="What strangers do")
    unmet = 0
    with tempfile.TemporaryDirectory() as name:
        for row in _rows(sys.argv[1:], Path(name)):
            cells = (row.part, row.item, row.asked, row.measured, "yes" if row.met else "NO", row.held_by)
            unmet += not row.met
            table.add_row(*cells)
            print(" | ".join(cells), flush=True)
    Console(width=190).print(table)
    print(f"{unmet} not met")
    sys.exit(unmet > 0)


def _rows(named: list[str], folder: Path) -> Iterator[Row]:
    known = [module.name for module in iter_modules([str(HERE)]) if module.name not in NOT_PARTS]
    for part in named or known:
        module = import_module(f"tests.benchmarks.hostile.{part}")
        (own := folder / part).mkdir()
        yield from _held(part, getattr(module, "HELD", {}), own)
        yield from _measured(module, own)


def _measured(module: ModuleType, folder: Path) -> Iterator[Row]:
    if hasattr(module, "rows"):
        yield from module.rows(folder)


def _held(part: str, held: Mapping[str, str], folder: Path) -> Iterator[Row]:
    """Each item's test, run by pytest in a process of its own; a test that is not there is not met."""
    for item, test in held.items():
        results = folder / "results.xml"
        command = [sys.executable, "-m", "pytest", "-q", test, f"--junitxml={results}"]
        results.unlink(missing_ok=True)
        subprocess.run(command, cwd=HERE.parents[2], capture_output=True, check=False)
        passed, others = _counts(results)
        measured = f"{passed} passed" + (f", {others} did not" if others else "")
        yield Row(part, item, "holds", measured, passed > 0 and not others, test)


def _counts(results: Path) -> tuple[int, int]:
    """Tests that passed; tests that failed, broke or were skipped."""
    if not results.exists():
        return 0, 1
    suite = next(ElementTree.parse(results).getroot().iter("testsuite"))
    tests, others = (
        int(suite.attrib["tests"]),
        sum(int(suite.attrib[k]) for k in ("failures", "errors", "skipped")),
    )
    return tests - others, others


if __name__ == "__main__":
    main()
