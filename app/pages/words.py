"""What the pages say of a record, in words."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel

from winnow.cli.recipe_text import recipe_text
from winnow.contract.asked_recipe import AskedRecipe, kinds_of
from winnow.contract.job import Job
from winnow.contract.model import TensorSpec
from winnow.contract.report import ADVICE

TONES: Final = {
    "ready": "good",
    "accepted": "good",
    "finished": "good",
    "unchecked": "good",
    "succeeded": "good",
    "rejected": "bad",
    "failed": "bad",
    "requirements_not_met": "warn",
    "stopped_early": "quiet",
    "cancelled": "quiet",
    "queued": "quiet",
    "waiting": "quiet",
}
"""How a state is coloured; what is not named is at work."""


def tone(state: str) -> str:
    return TONES.get(state, "busy")


def spoken(name: str) -> str:
    """`requirements_not_met` → `requirements not met`."""
    return name.replace("_", " ")


def standing(job: Job) -> str:
    """The word that says most of it: its outcome when there is one."""
    return job.outcome if job.outcome is not None and job.state == "succeeded" else job.state


def shape(spec: TensorSpec) -> str:
    """`float32 [batch, 3, 32, 32]`."""
    sizes = ", ".join("?" if size is None else str(size) for size in spec.shape)
    return f"{spec.dtype} [{sizes}]"


def recipe(recipe: AskedRecipe) -> str:
    """`channel_pruning → int8`."""
    return " → ".join(kinds_of(recipe))


def plain(value: Any) -> str:
    """A label: `3` for 3.0."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"


def clock(time: datetime) -> str:
    return f"{time:%H:%M:%S}"


def as_json(value: Any) -> str:
    """For reading, without what is the default."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(value, indent=2, ensure_ascii=False)


def from_json(text: str) -> str:
    """`"full"` → `full`, `true` → `true`."""
    value = json.loads(text)
    return value if isinstance(value, str) else text


def bound(value: float) -> str:
    """`100,000`, `0.5`."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"


def in_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    "advice": lambda recommend: ADVICE[recommend],
    "tone": tone,
    "spoken": spoken,
    "standing": standing,
    "shape": shape,
    "recipe": recipe,
    "moment": moment,
    "clock": clock,
    "steps": recipe_text,
    "as_json": as_json,
    "in_line": in_line,
    "bound": bound,
    "from_json": from_json,
    "plain": plain,
}
