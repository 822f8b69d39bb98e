"""Mutations of every format: whatever a file holds, its reader answers with a refusal or with what it found."""

import os
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.support.fuzzing import FORMATS, Format, mutants, read, seeds

SECONDS = float(os.environ.get("WINNOW_FUZZ_SECONDS", "18"))
"""For all formats together. How many mutations that is depends on the machine; `make bench-hostile` counts them."""
SEED = int(os.environ.get("WINNOW_FUZZ_SEED", "0"))

pytest.importorskip("torch")


@pytest.mark.parametrize("format", FORMATS)
def test_no_mutation_gets_more_than_a_refusal_out_of_a_reader(format: Format, tmp_path: Path) -> None:
    honest = len(seeds(format))
    outcomes: Counter[str] = Counter()
    end = time.monotonic() + SECONDS / len(FORMATS)
    for number, mutant in enumerate(mutants(format, Random(SEED))):
        found = read(format, mutant, tmp_path / "scratch")
        if any(outcome.startswith("leaked") for outcome in found):
            (tmp_path / "leaked").write_bytes(mutant)
        assert not any(outcome.startswith("leaked") for outcome in found), (
            number,
            found,
            tmp_path / "leaked",
        )
        assert number >= honest or found[0] in ("accepted", "inputs_undeclared"), found
        outcomes.update(found)
        if number > honest + 20 and time.monotonic() > end:
            break
    assert outcomes["accepted"]
    assert len(outcomes) > 2
