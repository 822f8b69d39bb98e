"""What was repaired in a model, and what it is reported as."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["sentinels", "channels", "rotation", "split", "join", "layers"]


@dataclass(frozen=True)
class Repair:
    """One repair: `cause` is what was seen, `remedy` what was done about it; `snr_db` of the outputs before and after,
    on calibration data that no range came from. Before is None where the model could not be quantized at all."""

    kind: Kind
    value: str
    cause: str
    remedy: str
    before_db: float | None
    after_db: float

    @property
    def gain_db(self) -> float:
        return math.inf if self.before_db is None else self.after_db - self.before_db

    @property
    def sentence(self) -> str:
        """As in: output 'cat_14' joins ranges 611 and 0.98; left in float: +21 dB."""
        if self.before_db is None:
            return f"{self.cause}; {self.remedy}: without, it could not be quantized."
        return f"{self.cause}; {self.remedy}: {self.gain_db:+.1f} dB."

    def as_report(self) -> dict[str, Any]:
        """Make a row of a report."""
        return {
            "kind": self.kind,
            "value": self.value,
            "cause": self.cause,
            "remedy": self.remedy,
            "snr_db_before": None if self.before_db is None else round(self.before_db, 2),
            "snr_db": round(self.after_db, 2),
        }


def sentences(repairs: Sequence[Repair]) -> list[str]:
    """Say what was repaired, for the notes of a report."""
    return [repair.sentence for repair in repairs]


def as_details(repairs: Sequence[Repair]) -> dict[str, Any]:
    """Make what the report has of them; nothing where nothing was repaired."""
    return {"repairs": [repair.as_report() for repair in repairs]} if repairs else {}
