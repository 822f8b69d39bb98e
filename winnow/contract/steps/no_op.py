"""A step that changes nothing."""

from typing import Literal

from pydantic import Field

from winnow.contract.steps.base import KIND, Step


class NoOp(Step):
    """Leaves the model as it is, and takes its time: what a service takes for a job besides the job's own work."""

    kind: Literal["no_op"] = Field(description=KIND)
    seconds: float = Field(
        default=5.0, ge=0, le=3600, description="How long the step takes, without using the CPU."
    )
