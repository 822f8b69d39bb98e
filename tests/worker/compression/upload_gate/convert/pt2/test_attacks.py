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


Outcomes = dict[str, dict[str, Any]]


def planted(names: list[str], folder: Path, marks: Path) -> list[Path]:
    """The attacks as files of the folder; where each leaves a mark if its code runs."""
    markers = [marks / f"{CANARY}-{number}" for number in range(len(names))]
    for number, (name, marker) in enumerate(zip(names, markers, strict=True)):
        (folder / f"{number}.pt2").write_bytes(ATTACKS[name](marker))
    return markers


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcomes, Outcomes]:
    """What became of each attack; whether its code ran under `ran`. Of all by our reader, then of `REAL` by torch's own
    loader, in one process."""
    folder = tmp_path_factory.mktemp("attacks")
    (loaded := folder / "loaded").mkdir()
    names = [*ATTACKS], [*REAL]
    places = [(place, tmp_path_factory.mktemp("marks")) for place in (folder, loaded)]
    markers = [planted(some, *place) for some, place in zip(names, places, strict=True)]
    command = [sys.executable, "-m", "tests.support.attacks.audited_conversion", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith('{"outcome"')]
    assert len(lines) == len(ATTACKS) + len(REAL)
    converted, loaded_after = (
        {name: {**line, "ran": marker.exists()} for name, line, marker in zip(*seen, strict=True)}
        for seen in zip(names, (lines[: len(ATTACKS)], lines[len(ATTACKS) :]), markers, strict=True)
    )
    return converted, loaded_after


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_runs_code_imports_a_module_or_reaches_a_file(
    name: str, outcomes: tuple[Outcomes, Outcomes]
) -> None:
    """Refused, or converted without what was planted."""
    found = outcomes[0][name]
    assert found["outcome"] in ("invalid_model", "pickle_refused", "unsafe_archive", "harmless", "converted")
    assert not found["suspects"]
    assert not found["ran"]


def test_the_attacks_are_real_and_would_be_seen(outcomes: tuple[Outcomes, Outcomes]) -> None:
    """Should this ever fail, torch has become safer."""
    for name, sign in REAL.items():
        assert any(sign in suspect for suspect in outcomes[1][name]["suspects"]), name
    assert outcomes[1]["expressions: a comment that line breaks end"]["ran"]
