"""Which rows of which archive become which inputs."""

from dataclasses import dataclass, field
from pathlib import Path

from app.contract.dataset import Declaration


@dataclass(frozen=True)
class Source:
    """Rows `[start, stop)` of an `.npz`. `map` goes from the model's input to the declared name."""

    path: Path
    declaration: Declaration = field(default_factory=Declaration)
    slice: tuple[int, int] | None = None
    map: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Data:
    """What a recipe may draw on. `evaluation` is never used for anything but measuring."""

    calibration: Source | None = None
    training: Source | None = None
    evaluation: Source | None = None
