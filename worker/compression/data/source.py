"""Say which rows of which archive become which inputs."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from winnow.contract.declaration import Declaration
from winnow.contract.fitting import own_map
from winnow.contract.model import TensorSpec


@dataclass(frozen=True)
class Source:
    """Rows `[start, stop)` of an `.npz`. `map` goes from a model's input to the declared name, for all models."""

    path: Path
    declaration: Declaration = field(default_factory=Declaration)
    slice: tuple[int, int] | None = None
    map: dict[str, str] = field(default_factory=dict)

    def for_inputs(self, inputs: list[TensorSpec]) -> "Source":
        """The same for one of several models: the map without the names that only the others have."""
        return replace(self, map=own_map(self.map, inputs))


@dataclass(frozen=True)
class Data:
    """What a recipe may draw on. `evaluation` is never used for anything but measuring."""

    calibration: Source | None = None
    training: Source | None = None
    evaluation: Source | None = None
