"""What all models of a `.pt2`'s JSON have in common."""

from itertools import islice
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

MAX_TEXT: Final = 10_000
PART: Final = 1000

UNSET: Any = None
"""Of a field that a union may lack. Never written: only what was given is."""


class Data(BaseModel):
    """Closed: a field that is not known is an error, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _check_count(cls, value: Any) -> Any:
        """Of a million unknown fields, one is reported."""
        if isinstance(value, dict) and len(value) > len(cls.__pydantic_fields__):
            unknown = next(name for name in value if name not in cls.__pydantic_fields__)
            raise ValueError(f"the field {unknown[:80]!r} is not known in the schemas of torch 2.10 to 2.13")
        return value


class OneOf(Data):
    """A tagged union as torch writes it: an object with exactly one of the fields."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"exactly one kind should stand here, not {len(self.model_fields_set)}")
        return self


def _in_parts(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Validate a table part by part, and stop at the first one with a fault: a fault costs more than an entry."""
    if not isinstance(value, dict) or len(value) <= PART:
        return validate(value)
    items, validated = iter(value.items()), dict[Any, Any]()
    while part := dict(islice(items, PART)):
        validated |= validate(part)
    return validated


Key = TypeVar("Key")
Item = TypeVar("Item")
List = Annotated[list[Item], FailFast()]
Table = Annotated[dict[Key, Item], WrapValidator(_in_parts)]
Int = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
DroppedTable = Annotated[dict[str, Any], AfterValidator(lambda _: {})]
"""What a conversion does not need: read, and written as empty."""
DroppedList = Annotated[list[Any], AfterValidator(lambda _: [])]
