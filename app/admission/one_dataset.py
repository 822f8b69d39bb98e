"""One dataset for all roles: checked as each of them, and what is refused is named where the request has it."""

import re
from typing import Final

from winnow.contract.data_uses import DataUses
from winnow.contract.errors import FieldError, Refusal
from winnow.contract.job import ClosedJob
from winnow.contract.needed_data import uses

_ROLE: Final = re.compile(r"data\.(?:calibration|training|evaluation)(?=\.|$)")


def in_all_roles(request: ClosedJob) -> ClosedJob:
    """The request with its one dataset in each role, as it is there before it is split."""
    return request.model_copy(update={"data": DataUses.model_validate(uses(request.data))})


def of_one_dataset(refusal: Refusal) -> Refusal:
    """The same refusal with the paths of the one dataset; what several roles are refused for is said once."""
    problem = refusal.problem
    errors = [FieldError(path=_path(error.path), detail=error.detail) for error in refusal.errors]
    once = list({(error.path, error.detail): error for error in errors}.values())
    field = problem.field and _path(problem.field)
    return Refusal(problem.code, problem.detail, field=field, layer=problem.layer, errors=once)


def _path(path: str) -> str:
    return "data.dataset" if _ROLE.fullmatch(path) else _ROLE.sub("data", path)
