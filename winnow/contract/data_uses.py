"""What data a job uses: one dataset that is split, or one for each role."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field, model_validator

from winnow.contract.base import RequestModel
from winnow.contract.declaration import MAX_INPUTS

MAX_ROWS: Final = 2**40


class DataUse(RequestModel):
    """A dataset, or rows `[start, stop)` of it."""

    dataset: str = Field(description="Id of the dataset.")
    slice: (
        tuple[Annotated[int, Field(ge=0, lt=MAX_ROWS)], Annotated[int, Field(ge=1, le=MAX_ROWS)]] | None
    ) = Field(
        default=None,
        description="First row, and the row behind the last: `[0, 512]` takes 512 rows; null takes all.",
    )
    map: dict[str, str] = Field(
        default_factory=dict,
        max_length=MAX_INPUTS,
        description="From a model's input to the dataset's name for it. Holds for every model of the job "
        "that has an "
        "input of that name: the upload, teachers and students.",
    )


ROLES: Final = ("calibration", "training", "evaluation")


ONE_WAY: Final[dict[str, Any]] = {
    "if": {"required": ["dataset"], "properties": {"dataset": {"type": "string"}}},
    "then": {"properties": {role: {"type": "null"} for role in ROLES}},
    "else": {"properties": {"map": {"maxProperties": 0}}},
}
"""What `DataUses` checks beyond its fields, as JSON Schema has it."""


def only_map(inputs: Sequence[str], declared: Sequence[str]) -> dict[str, str]:
    """The map of a model with one input to a dataset with one, whatever they are called."""
    return {inputs[0]: declared[0]} if len(inputs) == len(declared) == 1 and inputs[0] != declared[0] else {}


class DataUses(RequestModel):
    """One dataset that is split, or one for each role."""

    model_config = ConfigDict(json_schema_extra=ONE_WAY)

    dataset: str | None = Field(
        default=None,
        description="Id of the only dataset, split by the seed: half of it calibrates and trains, a quarter is there "
        "to choose by, a quarter to judge the result. In place of the three roles; null where these are given.",
    )
    map: dict[str, str] = Field(
        default_factory=dict,
        max_length=MAX_INPUTS,
        description="With `dataset`: from a model's input to the dataset's name for it.",
    )
    calibration: DataUse | None = Field(
        default=None, description="To measure activations on, without labels; null for none."
    )
    training: DataUse | None = Field(default=None, description="To train on; null for none.")
    evaluation: DataUse | None = Field(
        default=None, description="Held out, with labels, to measure quality on; null for none."
    )

    @property
    def whole(self) -> DataUse | None:
        """The dataset that is split; None where the roles are given."""
        return None if self.dataset is None else DataUse(dataset=self.dataset, map=self.map)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        roles = [name for name in ROLES if getattr(self, name) is not None]
        if self.dataset is not None and roles:
            raise ValueError(f"dataset is split into all roles; leave {', '.join(roles)} out, or dataset")
        if self.dataset is None and self.map:
            raise ValueError("map goes with dataset here; of a role it stands inside, beside its dataset")
        return self
