"""Whatever an option sets is spoken of by the option's name."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, Final, get_args

import pytest
from pydantic import BaseModel

from tests.support.asked import job
from winnow.cli.naming import as_option, in_options, job_in_options
from winnow.cli.options import JobOptions
from winnow.contract.errors import Refusal
from winnow.contract.job import JobRequest

ROOT: Final = Path(__file__).parents[3]
OPTIONS: Final = {f"--{field.name.replace('_', '-')}" for field in fields(JobOptions)}
OF_REQUESTS: Final = re.compile(r"\b(?:recipe|data|require|evaluation|benchmark|limits)\.[a-z]\w*")


def paths(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """Of every field of a request, and of an entry of each list and map."""
    for name, field in model.model_fields.items():
        yield (path := above + name)
        if name != "steps":
            yield from (inner for kind in _models(field.annotation) for inner in paths(kind, f"{path}."))
        if any(origin in str(field.annotation) for origin in ("list[", "tuple[", "dict[")):
            yield f"{path}.0"


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))


def sentences() -> Iterator[str]:
    """Texts of service and worker that a user may read, docstrings left out."""
    for file in [
        *ROOT.glob("winnow/contract/**/*.py"),
        *ROOT.glob("app/api/**/*.py"),
        *ROOT.glob("worker/**/*.py"),
    ]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "0" for part in node.values)
            elif isinstance(node, ast.Call):
                yield from (
                    arg.value
                    for arg in node.args
                    if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
                )


@pytest.mark.parametrize("path", [*paths(JobRequest)])
def test_every_field_that_an_option_sets_is_called_by_it(path: str) -> None:
    option = as_option(path, ["float16"])
    parents = ("benchmark", "data", "limits", "require")
    assert option in OPTIONS | {"MODEL", *parents} or option.startswith("--step float16"), option


def test_every_sentence_that_speaks_of_a_request_speaks_of_options_here() -> None:
    spoken = [text for text in sentences() if OF_REQUESTS.search(text) and " " in text]
    assert len(spoken) > 10
    assert [text for text in spoken if OF_REQUESTS.search(in_options(text, ["float16"]))] == []


def test_a_failed_job_says_which_option_to_give() -> None:
    problem = Refusal("time_limit_exceeded", "Raise `limits.seconds`.", field="limits.seconds").problem
    told = job_in_options(job(state="failed", problem=problem.model_dump())).problem
    assert told is not None
    assert (told.detail, told.field) == ("Raise `--limit-seconds`.", "--limit-seconds")
    assert [error.path for error in told.errors] == ["--limit-seconds"]
