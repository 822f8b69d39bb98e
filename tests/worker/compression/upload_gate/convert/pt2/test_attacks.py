"""Files that were made to run code, through the reader alone: no sandbox, no filter, only somebody who watches."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.attacks import ATTACKS, CANARY

pytest.importorskip("torch")

REAL = {
    "expressions: a second program, not named .json": CANARY,
    "expressions: a comment that line breaks end": CANARY,
    "programs: a default factory, escaped": "import this",
    "programs: a key that is an enumeration": "import this",
    "programs: an input's name that is a default value": CANARY,
    "programs: a keyword of a condition": CANARY,
    "pickles: sample inputs, as torch saves": "pickle.find_class",
    "containers: another name in the header": CANARY,
}
"""What torch's own loader does with some of them."""


def watched(names: list[str], folder: Path, *options: str) -> dict[str, dict[str, Any]]:
    """What became of each attack, all converted by one process; whether its code ran under `ran`."""
    markers = [folder.parent / f"{folder.name}-{CANARY}-{number}" for number in range(len(names))]
    for number, (name, marker) in enumerate(zip(names, markers, strict=True)):
        (folder / f"{number}.pt2").write_bytes(ATTACKS[name](marker))
    command = [sys.executable, "-m", "tests.support.attacks.audited_conversion", str(folder), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith('{"outcome"')]
    seen = zip(names, lines, markers, strict=True)
    return {name: {**line, "ran": marker.exists()} for name, line, marker in seen}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return watched(list(ATTACKS), tmp_path_factory.mktemp("attacks"))


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_runs_code_imports_a_module_or_reaches_a_file(
    name: str, outcomes: dict[str, dict[str, Any]]
) -> None:
    """Refused, or converted without what was planted."""
    found = outcomes[name]
    assert found["outcome"] in ("invalid_model", "pickle_refused", "unsafe_archive", "harmless", "converted")
    assert not found["suspects"]
    assert not found["ran"]


def test_the_attacks_are_real_and_would_be_seen(tmp_path: Path) -> None:
    """Should this ever fail, torch has become safer."""
    outcomes = watched(list(REAL), tmp_path, "--loader")
    for name, sign in REAL.items():
        assert any(sign in suspect for suspect in outcomes[name]["suspects"]), name
    assert outcomes["expressions: a comment that line breaks end"]["ran"]
