"""What all models of a `.pt2`'s JSON have in common."""

from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MAX_TEXT: Final = 10_000

UNSET: Any = None
"""Of a field that a union may lack. Never written: only what was given is."""


class Data(BaseModel):
    """Closed: a field that is not known is an error, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class OneOf(Data):
    """A tagged union as torch writes it: an object with exactly one of the fields."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"exactly one kind should stand here, not {len(self.model_fields_set)}")
        return self


Int = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
DroppedTable = Annotated[dict[str, Any], AfterValidator(lambda _: {})]
"""What a conversion does not need: read, and written as empty."""
DroppedList = Annotated[list[Any], AfterValidator(lambda _: [])]
