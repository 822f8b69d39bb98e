"""What was attributed to the parts of some samples, before and after."""

from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from winnow.contract.report import Fidelity, Report
from worker.compression.ir.arrays import Array

Method = Literal["integrated_gradients", "occlusion"]
NOT_MEASURED: Final = "Fidelity was not measured: "


@dataclass(frozen=True)
class Attribution:
    """Of one sample, what each part adds: before and after [parts], which lie on a grid (down, across)."""

    row: int
    before: Array
    after: Array
    grid: tuple[int, int]
    spearman: float | None


@dataclass(frozen=True)
class Attributions:
    """`why` says in a sentence why there are none."""

    entries: list[Attribution] = field(default_factory=list)
    method: Method = "occlusion"
    input: str = ""
    output: str = ""
    why: str | None = None

    @property
    def note(self) -> str:
        """Says in a report why there are none."""
        return f"{NOT_MEASURED}{self.why}"

    def told_in(self, report: Report) -> Report:
        """The report with its `fidelity`, or a note that says why there is none, in place of an earlier such note."""
        notes = [note for note in report.notes if not note.startswith(NOT_MEASURED)]
        if not self.entries:
            return report.model_copy(update={"notes": [*notes, self.note]})
        known = [entry.spearman for entry in self.entries if entry.spearman is not None]
        fidelity = Fidelity(
            method=self.method,
            input=self.input,
            output=self.output,
            parts=len(self.entries[0].before),
            samples=len(self.entries),
            spearman=[entry.spearman for entry in self.entries],
            mean=float(np.mean(known)) if known else None,
        )
        return report.model_copy(update={"notes": notes, "fidelity": fidelity})
