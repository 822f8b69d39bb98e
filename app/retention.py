"""How long records are kept, as the operator writes it: `job.failed=7d, job=90d, model.rejected=1d`."""

import re
from typing import Final, Literal, get_args

Kind = Literal["job", "model", "dataset"]
Retention = dict[tuple[Kind, str], float]
"""(kind, final state) → seconds; what is not there is kept for ever."""

STATES: Final[dict[Kind, tuple[str, ...]]] = {
    "job": ("succeeded", "failed", "cancelled"),
    "model": ("ready", "rejected"),
    "dataset": ("ready", "rejected"),
}
UNITS: Final = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

_RULE: Final = re.compile(rf"({'|'.join(get_args(Kind))})(?:\.(\w+))?=(\d{{1,6}})([{''.join(UNITS)}])")


def parse_retention(text: str) -> Retention:
    """Rules with commas between; one without a state is for all final states that have none of their own. Raises
    `ValueError`."""
    of_kind: Retention = {}
    of_state: Retention = {}
    for rule in filter(None, (part.strip() for part in text.split(","))):
        kind, state, seconds = _parse_rule(rule)
        chosen = of_state if state else of_kind
        for each in (state,) if state else STATES[kind]:
            if (kind, each) in chosen:
                raise ValueError(f"{rule!r} says again how long such records are kept: say it once")
            chosen[kind, each] = seconds
    return of_kind | of_state


def _parse_rule(rule: str) -> tuple[Kind, str | None, float]:
    match = _RULE.fullmatch(rule)
    if match is None:
        raise ValueError(
            f"{rule!r} is no rule: expected KIND=AGE or KIND.STATE=AGE, of {', '.join(STATES)}, with an age in "
            f"{', '.join(UNITS)}, for example job.failed=7d"
        )
    kind: Kind = match[1]  # type: ignore[assignment]
    if match[2] is not None and match[2] not in STATES[kind]:
        raise ValueError(f"{rule!r}: a {kind} that has ended is {' or '.join(STATES[kind])}")
    return kind, match[2], float(int(match[3]) * UNITS[match[4]])
