"""Say which rows of which archive become which inputs."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from winnow.contract import fitting
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.fitting import own_map
from winnow.contract.model import TensorSpec
from winnow.contract.split import DataSplit
from worker.compression.data.table import Rows


@dataclass(frozen=True)
class ChosenRows:
    """Ascending row numbers, kept as a bit for each row of the table, in base64."""

    bits: str

    @staticmethod
    def where(mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> "ChosenRows":
        """Choose the rows for which the mask is true."""
        return ChosenRows(base64.b64encode(np.packbits(mask).tobytes()).decode())

    @property
    def numbers(self) -> Rows:
        octets = np.frombuffer(base64.b64decode(self.bits), np.uint8)
        return np.flatnonzero(np.unpackbits(octets)).astype(np.int64)


@dataclass(frozen=True)
class Source:
    """Rows `[start, stop)` of a dataset, or `chosen` ones. `map` goes from a model's input to the declared name, for
    all models."""

    path: Path
    declaration: Declaration = field(default_factory=Declaration)
    slice: tuple[int, int] | None = None
    map: dict[str, str] = field(default_factory=dict)
    chosen: ChosenRows | None = None

    def for_inputs(self, inputs: list[TensorSpec]) -> "Source":
        """The same for one of several models: the map without the names that only the others have."""
        return replace(self, map=own_map(self.map, inputs))

    def constants(self, inputs: Iterable[str]) -> dict[str, float]:
        """Return what is declared as a constant, by the names of these inputs of a model."""
        declared = self.declaration.constants
        names = {name: self.map.get(name, name) for name in inputs}
        return {name: declared[own] for name, own in names.items() if own in declared}

    def rows(self, readable: Rows, batch: int) -> Rows:
        """Return its rows of those that can be read, in whole batches. A slice counts these.

        Raises `Refusal` `empty_slice`, `slice_beyond_data`.
        """
        if self.chosen is None:
            among = fitting.chosen_rows(self.slice, len(readable), batch)
            return readable[among.start : among.stop]
        rows = np.intersect1d(self.chosen.numbers, np.asarray(readable)).astype(np.int64)
        whole = rows[: len(rows) - len(rows) % batch]
        if not len(whole):
            raise Refusal(
                "empty_slice",
                f"{len(rows)} rows are no whole batch of {batch}. Give more data, or smaller batches.",
            )
        return whole

    def shares_rows(self, other: "Source") -> bool:
        """Whether a row of both is the same one, if both are of one file."""
        if self.chosen is not None and other.chosen is not None:
            return bool(np.intersect1d(self.chosen.numbers, other.chosen.numbers).size)
        if self.chosen is not None:
            start, stop = other.slice or (0, 2**63)
            return any(start <= row < stop for row in self.chosen.numbers)
        if other.chosen is not None:
            return other.shares_rows(self)
        (begin, end), (other_begin, other_end) = (it.slice or (0, 2**63) for it in (self, other))
        return max(begin, other_begin) < min(end, other_end)


@dataclass(frozen=True)
class Data:
    """What a recipe may draw on. `evaluation` is never used for anything but measuring, `selection` for choosing
    between results. `whole` is one dataset that is still to be split into the others, as `split` then says."""

    calibration: Source | None = None
    training: Source | None = None
    evaluation: Source | None = None
    selection: Source | None = None
    whole: Source | None = None
    split: DataSplit | None = None

    def constants(self, inputs: Iterable[str]) -> dict[str, float]:
        """Return the inputs that all of the data gives one and the same number, declared as a constant."""
        sources = (self.calibration, self.training, self.evaluation, self.selection, self.whole)
        declared = [source.constants(inputs) for source in sources if source is not None]
        first = declared[0] if declared else {}
        return {name: value for name, value in first.items() if all(it.get(name) == value for it in declared)}
