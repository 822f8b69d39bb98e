"""Entries of what was required: measured or not, met or not, with why not in a sentence."""

from winnow.contract.base import Interval
from winnow.contract.report import RequirementResult


def unmeasured(name: str, limit: float, reason: str) -> RequirementResult:
    return RequirementResult(
        name=name, asked=limit, measured=None, interval=None, met=False, why=f"{_capital(reason)}."
    )


def made_entry(
    name: str, limit: float, measured: float | None, interval: Interval | None, met: bool, why: str
) -> RequirementResult:
    return RequirementResult(
        name=name,
        asked=limit,
        measured=measured,
        interval=interval,
        met=met,
        why=None if met else f"{_capital(why)}.",
    )


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
