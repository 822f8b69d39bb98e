"""The two kinds of objects on the wire: requests (`RequestModel`) and answers (`ResponseModel`)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Whole64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""What databases keep as a whole number."""


class RequestModel(BaseModel):
    """Something a client sends. Unknown fields are refused, so that a typing error is not silently ignored.

    Numbers are finite: JSON has no NaN, Python's parser lets it pass.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ResponseModel(BaseModel):
    """Something the service answers. No defaults: whoever makes one has to say every field."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Interval = tuple[float, float]
"""A 95 % confidence interval, lower bound first."""
