"""What a page is about, and what its sections are made of."""

from dataclasses import dataclass, field
from pathlib import Path

from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.materials import Materials
from worker.compression.names import Names
from worker.compression.result.fidelity.attributions import Attributions
from worker.compression.result.page.seen import Seen


@dataclass(frozen=True)
class Subject:
    """`recipe` has no steps where the result is the upload, tidied. `materials` are None where the job's model or data
    is gone: nothing is measured then."""

    report: Report
    artifact: Path
    recipe: Recipe | None
    materials: Materials | None = None
    attributions: Attributions = field(default_factory=Attributions)
    seen: Seen = field(default_factory=Seen)
    names: Names = field(default_factory=Names)
