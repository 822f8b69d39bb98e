"""Paths of a request, and sentences that speak of them, in options of the command line."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from winnow.client import ServiceProblem
from winnow.contract.asked_recipe import kinds_of
from winnow.contract.errors import FieldError, Problem
from winnow.contract.job import Job, JobRequest

OPTIONS: Final = (
    (r"recipe\.steps\.(?P<step>\d+)(?P<rest>(\.\w+)*)", "--step"),
    (r"recipe(\.steps)?", "--step"),
    (r"search\.budget", "--seconds"),
    (r"search\.(budget\.)?(?P<name>objective|seconds|trials)", None),
    (r"search", "--seconds"),
    (r"recipe\.auto", "--auto"),
    (r"recipe\.preset", "--preset"),
    (r"data\.((calibration|training|evaluation)\.)?map(\.\S+)?", "--map"),
    (r"data(\.dataset)?", "--data"),
    (r"data\.(?P<name>calibration|training|evaluation)(\.dataset|\.slice)?(\.\d+)?", None),
    (r"require\.metrics(\.\S+)?", "--bound"),
    (r"require\.(?P<name>\w+)", None),
    (r"evaluation\.decode(\.(?P<setting>\w+)(\.\S+)?)?", "--decode"),
    (r"evaluation\.(?P<name>task|metric|output)", None),
    (r"evaluation(\.also(\.\d+)?)?", "--metric"),
    (r"benchmark\.batch_sizes(\.\d+)?", "--batch-size"),
    (r"benchmark\.(?P<name>threads|rounds)(\.\d+)?", None),
    (r"benchmark\.shapes(\.\S+)?", "--shape"),
    (r"limits\.(?P<name>seconds|memory_bytes)", "--limit-"),
    (r"tags(\..*)?", "--tag"),
    (r"needs(\.\d+)?", "--needs"),
    (r"generate(\..*)?", "--generate"),
    (r"(?P<name>seed|name|target|precision|priority|explain)", None),
    (r"target_features(\.\d+)?", "--target-feature"),
    (r"model", "MODEL"),
)
"""Pattern of a path → option; None where the option is called like the path's last part."""

NUMBERED: Final = re.compile(r"\bStep (\d+) \(")
"""How sentences of the service count steps: from 0."""

IN_SENTENCES: Final = re.compile(
    r"\b(?:recipe\.steps\.\d+(?:\.\w+)*|data\.(?:calibration|training|evaluation)(?:\.(?:map|slice))?|data\.dataset"
    r"|require\.\w+|evaluation\.decode\.\w+|evaluation\.\w+|benchmark\.(?:shapes|batch_sizes|threads|rounds)|limits\.\w+)"
)
"""The paths that sentences of the service speak of."""

EXAMPLES: Final = (
    (
        r"(U|u)pload an \.npz to /v1/datasets and name it in data\.(\w+)",
        r"\1se --\2 with an .npz or the id of a dataset",
    ),
    (r'"evaluation": \{"(metric|task)": "(\w+)"\}', r"--\1 \2"),
    (
        r'[gG]ive search, for example \{"objective": "latency", "budget": \{"seconds": 600\}\}',
        "give --seconds or --trials, for example --seconds 600",
    ),
    (r'"map": \{"([^"]*)": "([^"]*)"\}', r"--map '\1=\2'"),
    (r'"(?:shapes|benchmark)": (?:\{"shapes": )?\{"([^"]*)": \[([\d, ]+)\]\}\}?', r"--shape '\1=\2'"),
)
"""What sentences advise to write in a request → what does the same on the command line."""


def as_option(path: str, kinds: Sequence[str] = ()) -> str:
    """`data.evaluation.slice` → `--evaluation`; `kinds` are those of the steps. A path that no option leads to stays
    what it is."""
    for pattern, option in OPTIONS:
        if match := re.fullmatch(pattern, path):
            parts = match.groupdict()
            if parts.get("step") is not None:
                return _step(int(parts["step"]), parts["rest"].removeprefix("."), kinds)
            if parts.get("setting") is not None:
                return f"{option} {parts['setting']}"
            name = (parts.get("name") or "").replace("_", "-")
            return f"--{name}" if option is None else option + name
    return path


def _step(index: int, setting: str, kinds: Sequence[str]) -> str:
    kind = kinds[index] if index < len(kinds) else str(index + 1)
    which = kind if len(kinds) < 2 else f"{index + 1} ({kind})"
    return f"--step {which}" + (f" {setting}" if setting not in ("", "kind") else "")


def in_options(text: str, kinds: Sequence[str] = ()) -> str:
    """A sentence that speaks of paths and JSON, speaking of options."""
    for pattern, option in EXAMPLES:
        text = re.sub(pattern, option, text)
    text = NUMBERED.sub(lambda match: f"Step {int(match[1]) + 1} (", text)
    return IN_SENTENCES.sub(lambda match: as_option(match[0], kinds), text)


def problem_in_options(problem: Problem, kinds: Sequence[str] = ()) -> Problem:
    """The same problem with every path as the option that it came from."""
    errors = [
        FieldError(path=as_option(it.path, kinds), detail=in_options(it.detail, kinds))
        for it in problem.errors
    ]
    changed = {
        "detail": in_options(problem.detail, kinds),
        "field": problem.field and as_option(problem.field, kinds),
        "errors": errors,
    }
    return problem.model_copy(update=changed)


def job_in_options(job: Job) -> Job:
    """The job with its problem, and what is said of its requirements, in options."""
    kinds = kinds_of(job.recipe)
    requirements = job.requirements and [
        result.model_copy(
            update={
                "why": result.why and in_options(result.why, kinds),
                "cause": result.cause and in_options(result.cause, kinds),
            }
        )
        for result in job.requirements
    ]
    problem = job.problem and problem_in_options(job.problem, kinds)
    return job.model_copy(update={"problem": problem, "requirements": requirements})


@contextmanager
def naming_options(request: JobRequest, *, from_file: bool) -> Iterator[None]:
    """What the service refuses inside is told in options, unless the request stands in a file."""
    try:
        yield
    except ServiceProblem as error:
        if from_file:
            raise
        kinds = kinds_of(request.recipe)
        raise ServiceProblem(problem_in_options(error.problem, kinds)) from error
