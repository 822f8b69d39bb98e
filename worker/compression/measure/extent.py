"""How much of a result is measured: all of it, with care, or for a trial of a search what its choice needs."""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Extent:
    """`brief`: the speed is a short estimate at the first benchmark entry, beside whatever else runs.

    `times`, `weighs`: whether speed, and memory and loading, are measured at all.
    """

    brief: bool = False
    times: bool = True
    weighs: bool = True


WHOLE: Final = Extent()

Judging = Literal["result", "trial", "final"]
"""`result`: judged on the evaluation data. Of a search, a `trial` is judged on the selection part, and the `final` on
the part that no choice has seen."""
