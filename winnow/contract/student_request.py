"""A student as a model of its own: what `POST /v1/models/{id}/students` takes."""

from typing import Any, Literal

from pydantic import Field

from winnow.contract.base import Whole64
from winnow.contract.recipe import Student
from winnow.contract.steps.student import StudentSettings


class StudentRequest(StudentSettings):
    """How the student is to be made; a latency can be a target only in a job, which has data to measure with."""

    target: Literal["macs", "parameters"] | None = Field(
        default=None,
        description="What is to shrink by `amount`: the width is cut until it has, behind what depth brings. Null: "
        "width and depth alone say how large it is.",
    )
    name: str | None = Field(
        default=None, min_length=1, max_length=200, description="What to call it; null for the parent's name."
    )
    seed: Whole64 = Field(default=0, ge=0, description="Of weights that are drawn anew.")

    @property
    def settings(self) -> dict[str, Any]:
        """What the student depends on, as JSON."""
        return self.model_dump(mode="json", exclude={"name", "seed"})


def student_step(settings: dict[str, Any]) -> Student:
    """The step that makes a student of such settings."""
    return Student.model_validate({"kind": "student", **settings})
