"""No requirement of the contract is forgotten where it is judged, sorted or documented."""

from pathlib import Path

import pytest

from winnow.cli.options import JobOptions
from winnow.contract.report import Pair
from winnow.contract.requirements import MEMORY, SIZE, SPEED, Requirements
from worker.compression.measure.verdict.requirements import judge
from worker.compression.result.causes.evidence import is_quality

NAMES = [name for name in Requirements.model_fields if name != "metrics"]
METRICS = Path(__file__).parents[5] / "docs" / "metrics.md"


@pytest.mark.parametrize("name", NAMES)
def test_each_requirement_has_an_entry_a_kind_an_option_and_a_row(name: str) -> None:
    asked = Requirements.model_validate({name: 1})
    (entry,) = judge(asked, quality=[], latency=[], parity=[], size_bytes=Pair(before=1, after=1, ratio=1.0))
    assert (entry.name, entry.asked) == (name, 1)
    assert sum((is_quality(name), name in SPEED, name in SIZE, name in MEMORY)) == 1
    made = JobOptions(step=["float16"], **{name: 1}).job("mdl_1")
    assert made.require == asked
    assert f"| `{name}` | `--{name.replace('_', '-')} " in METRICS.read_text()
