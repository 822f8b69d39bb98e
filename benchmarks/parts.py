"""A benchmark of parts: modules of one package, run one after the other, their rows printed as one table.

A part has either or both of

    HELD                 item of the issue → the test that holds it (a pytest id, run by this benchmark)
    rows(folder)         what has to be measured: yields `Row`s
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Row:
    """`asked` and `measured` in words and numbers with their units; `held_by` names a test where one holds it."""

    part: str
    item: str
    asked: str
    measured: str
    met: bool
    held_by: str = ""


def print_parts(package: ModuleType, title: str) -> None:
    """All parts of the package, or those named on the command line; exits with 1 when a row is not met."""
    table = Table("part", "item", "asked", "measured", "met", "held by", title=title)
    unmet = 0
    with tempfile.TemporaryDirectory() as name:
        for row in _rows(package, sys.argv[1:], Path(name)):
            cells = (row.part, row.item, row.asked, row.measured, "yes" if row.met else "NO", row.held_by)
            unmet += not row.met
            table.add_row(*cells)
            print(" | ".join(cells), flush=True)
    Console(width=190).print(table)
    print(f"{unmet} not met")
    sys.exit(unmet > 0)


def _rows(package: ModuleType, named: list[str], folder: Path) -> Iterator[Row]:
    known = [module.name for module in iter_modules(package.__path__) if module.name != "__main__"]
    for part in named or known:
        module = import_module(f"{package.__name__}.{part}")
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
        subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
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
