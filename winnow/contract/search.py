"""How a recipe with something open is searched: what is wanted most, and what it may cost."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from winnow.contract.base import RequestModel

Objective = Literal["latency", "size", "memory", "macs", "quality"]
MAX_TRIALS: Final = 1000


class Budget(RequestModel):
    """What a search may cost, whichever comes first."""

    seconds: int | None = Field(
        default=None,
        ge=1,
        le=7 * 86400,
        description="Seconds from its beginning to the end of its last trial; judging the winner comes on top.",
    )
    trials: Annotated[int, Field(ge=1, le=MAX_TRIALS)] | None = Field(
        default=None, description="Recipes that are tried."
    )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.seconds is None and self.trials is None:
            raise ValueError("give seconds or trials, or both: a search without an end is none")
        return self


class Search(RequestModel):
    """What to search for: of all that meets what is required, the best by `objective`."""

    objective: Objective = Field(
        default="latency",
        description="What is wanted most: `latency` and `memory` as measured, `size` of the file, `macs`, or "
        "`quality`: the first metric, without one the likeness of the outputs.",
    )
    budget: Budget = Field(description="When it ends.")
