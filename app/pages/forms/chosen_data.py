"""Which data a job is put together with, as its page's address has it: one dataset that is split, or one for each role.

?dataset=dst_…                                          split by the seed
?calibration=dst_…&calibration_rows=0:512&training=…    the roles
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

from fastapi import Query

from app.api import uploads, views
from app.api.deps import Parts
from app.pages.forms.reading import feeds, map_for
from winnow.contract.data_uses import ROLES, DataUse, DataUses
from winnow.contract.dataset import Dataset
from winnow.contract.model import Model

NONE, ALL = "none", "all"
Id = Annotated[str, Query(max_length=100)]
Rows = Annotated[str, Query(max_length=30, pattern=r"^(all|[0-9]{1,12}:[0-9]{1,12})$")]

HINTS: Final = {
    "calibration": "activations are measured on it; no labels needed",
    "training": "steps that train learn from it",
    "evaluation": "held out, with labels: quality is measured on it",
}


@dataclass(frozen=True)
class DataQuery:
    """What the address can say."""

    dataset: Id = NONE
    calibration: Id = NONE
    training: Id = NONE
    evaluation: Id = NONE
    calibration_rows: Rows = ALL
    training_rows: Rows = ALL
    evaluation_rows: Rows = ALL

    def uses(self) -> DataUses:
        """Raises `ValueError` for rows that are none."""
        if self.dataset != NONE:
            return DataUses(dataset=self.dataset)
        named = {role: id for role in ROLES if (id := getattr(self, role)) != NONE}
        return DataUses(**{role: DataUse(dataset=id, slice=self._slice(role)) for role, id in named.items()})

    def rows(self, role: str) -> str:
        rows: str = getattr(self, f"{role}_rows")
        return rows

    def _slice(self, role: str) -> tuple[int, int] | None:
        numbers = re.fullmatch("([0-9]+):([0-9]+)", self.rows(role))
        return None if numbers is None else (int(numbers[1]), int(numbers[2]))


@dataclass(frozen=True)
class Chosen:
    """A dataset with the roles that it has; `fits`: it feeds the model."""

    dataset: Dataset
    roles: list[str]
    fits: bool


@dataclass(frozen=True)
class ChosenData:
    uses: DataUses = field(default_factory=DataUses)
    chosen: list[Chosen] = field(default_factory=list)

    @property
    def fits(self) -> bool:
        """Whether there is data, and all of it can be used."""
        return bool(self.chosen) and all(each.fits for each in self.chosen)

    @property
    def judges(self) -> bool:
        """Whether quality can be told."""
        return self.fits and (self.uses.dataset is not None or self.uses.evaluation is not None)

    def awaited(self, name: str) -> list[Dataset]:
        """What is chosen for this role, or as the `dataset` that is split, and cannot be offered yet: it is still
        inspected, or not read for this model."""
        return [
            each.dataset
            for each in self.chosen
            if each.dataset.id == self.of(name) and not each.fits and each.dataset.state != "rejected"
        ]

    @property
    def in_roles(self) -> bool:
        return self.uses.dataset is None and bool(self.chosen)

    @property
    def next_use(self) -> str:
        """What data that is added is likeliest for."""
        return next((role for role in ROLES if self.in_roles and not self.of(role)), "dataset")

    def of(self, name: str) -> str:
        """The id of the dataset that has this role, or of the `dataset` that is split, empty for none."""
        use = self.uses.whole if name == "dataset" else getattr(self.uses, name)
        return "" if use is None else use.dataset


def chosen_data(query: DataQuery, model: Model, service: Parts, owner: str) -> ChosenData:
    """Raises `not_found`, and `ValueError` for rows that are none."""
    uses = query.uses()
    by_id: dict[str, list[str]] = {}
    for role in ROLES:
        if (use := uses.whole or getattr(uses, role)) is not None:
            by_id.setdefault(use.dataset, []).append(role)
    datasets = [views.dataset(uploads.find(service, owner, "dataset", id)) for id in by_id]
    made = [Chosen(it, by_id[it.id], feeds(it, model)) for it in datasets]
    return ChosenData(_mapped(uses, {it.id: map_for(it, model) for it in datasets}), made)


def _mapped(uses: DataUses, maps: Mapping[str, dict[str, str]]) -> DataUses:
    if uses.dataset is not None:
        return uses.model_copy(update={"map": maps[uses.dataset]})
    roles = {role: use for role in ROLES if (use := getattr(uses, role)) is not None}
    named = {role: use.model_copy(update={"map": maps[use.dataset]}) for role, use in roles.items()}
    return uses.model_copy(update=named)


def usable(chosen: Sequence[Chosen]) -> bool:
    return all(each.dataset.state == "ready" for each in chosen)
