"""What `submit` and `run` take, and the `JobRequest` it makes. Written wrongly, it is a usage error (exit code 2)."""

import inspect
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import typer

from winnow.cli.naming import problem_in_options
from winnow.cli.required import RequirementOptions
from winnow.cli.settings import DECODES, KINDS, decode, pairs, step, whole
from winnow.cli.shared import errors_in_words
from winnow.contract.asked_recipe import PresetName
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Metric, Task
from winnow.contract.job import JobRequest
from winnow.contract.search import Objective
from winnow.contract.strict_json import read_json, read_model
from winnow.contract.target import JOB_TARGETS

SLICED: Final = re.compile(r"(?P<source>.+?)(?::(?P<start>\d+):(?P<stop>\d+))?")


@dataclass(frozen=True, kw_only=True)
class JobOptions(RequirementOptions):
    """One field is one option of the command line."""

    step: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A step with its settings, e.g. 'int8_static samples=256'; repeated, one after the other. "
            f"Kinds: {', '.join(KINDS)}. Teachers and students are ids, for `run` also files."
        ),
    ] = None
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATASET",
            help="One dataset for everything, split by the seed: half calibrates and trains, a quarter judges. "
            "For `run` a file, a folder, or (repeated) several files.",
        ),
    ] = None
    auto: Annotated[
        bool, typer.Option("--auto", help="Find the best recipe for this model; in place of --step.")
    ] = False
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"A recipe or search by its name, in place of --step: {', '.join(get_args(PresetName))}."
        ),
    ] = None
    objective: Annotated[
        str | None,
        typer.Option(help=f"What is searched for: {', '.join(get_args(Objective))}; latency if not given."),
    ] = None
    seconds: Annotated[
        int | None, typer.Option(help="Search for so long; judging the winner comes on top.")
    ] = None
    trials: Annotated[int | None, typer.Option(help="Try so many recipes at most.")] = None
    calibration: Annotated[
        str | None, typer.Option(metavar="DATASET[:A:B]", help="Calibration data, or rows A to B-1 of it.")
    ] = None
    training: Annotated[str | None, typer.Option(metavar="DATASET[:A:B]", help="Training data.")] = None
    evaluation: Annotated[
        str | None, typer.Option(metavar="DATASET[:A:B]", help="Held-out data to judge the result on.")
    ] = None
    map: Annotated[
        list[str] | None,
        typer.Option(metavar="INPUT=NAME", help="The dataset's name for an input of the model."),
    ] = None
    task: Annotated[
        str | None,
        typer.Option(
            help=f"What the model is for: {', '.join(get_args(Task))}, or auto to have it found out."
        ),
    ] = None
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Repeatable, the first decides; the usual one of --task if not given. "
            f"{', '.join(get_args(Metric))}."
        ),
    ] = None
    decode: Annotated[
        str | None,
        typer.Option(
            help=f"How outputs become predictions, with settings, e.g. 'yolox nms=0.5'. Kinds: {', '.join(DECODES)}."
        ),
    ] = None
    output: Annotated[
        str | None, typer.Option(help="The model's output to judge; its first one if not given.")
    ] = None
    batch_size: Annotated[
        list[int] | None, typer.Option(help="Measure with this batch size; repeatable.")
    ] = None
    threads: Annotated[list[int] | None, typer.Option(help="Measure with so many threads; repeatable.")] = (
        None
    )
    rounds: Annotated[int | None, typer.Option(help="Interleaved rounds of timing, at least 9.")] = None
    shape: Annotated[
        list[str] | None,
        typer.Option(metavar="INPUT=1,3,320,320", help="Fix an input that the model leaves open."),
    ] = None
    target: Annotated[
        str | None,
        typer.Option(help=f"What the result is made for: {', '.join(JOB_TARGETS)}; the first if not given."),
    ] = None
    precision: Annotated[
        str | None,
        typer.Option(
            help="What the target computes floats in: f32, or bf16 with openvino-cpu; f32 if not given."
        ),
    ] = None
    target_feature: Annotated[
        list[str] | None,
        typer.Option(
            metavar="avx512_vnni",
            help="A feature of the CPU that the result is made for; repeatable; those of the worker's if not given.",
        ),
    ] = None
    limit_seconds: Annotated[
        int | None, typer.Option(help="Stop an attempt after so many seconds; 3600 if not given.")
    ] = None
    limit_memory_bytes: Annotated[
        int | None, typer.Option(help="Stop an attempt that takes more resident memory; 8 GiB if not given.")
    ] = None
    needs: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What its worker has to have, e.g. cuda; repeatable. The job waits for one that has it.",
        ),
    ] = None
    generate: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.json",
            help="How a package answers token by token, as JSON in a file or written here: start_token, end_token, "
            "max_tokens, first, then, feeds. The loop is run before and after, and steps are calibrated on it.",
        ),
    ] = None
    explain: Annotated[
        bool | None,
        typer.Option("--explain", help="Compare what both models look at, too: `fidelity` of the report."),
    ] = None
    priority: Annotated[
        int | None,
        typer.Option(help="From -10 to 10: of your jobs that wait, the higher goes first; 0 if not given."),
    ] = None
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same samples.")] = None
    name: Annotated[str | None, typer.Option(help="A name for the job.")] = None
    tag: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Free labels, to find it again.")
    ] = None
    request: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="The whole request, instead of the other options of the job."),
    ] = None

    def job(self, model: str) -> JobRequest:
        """Raises typer.BadParameter."""
        asked = self._from_file() if self.request is not None else self._from_options()
        try:
            return read_model(JobRequest, json.dumps(asked | {"model": model}))
        except Refusal as refusal:
            if self.request is not None:
                raise typer.BadParameter(f"{self.request}: {errors_in_words(refusal.problem)}") from refusal
            kinds = [step["kind"] for step in asked["recipe"].get("steps", [])]
            problem = problem_in_options(refusal.problem, kinds)
            raise typer.BadParameter(errors_in_words(problem)) from refusal

    def _recipe(self) -> dict[str, Any]:
        ways = {"--step": self.step, "--auto": self.auto, "--preset": self.preset}
        given = [name for name, value in ways.items() if value]
        if len(given) > 1:
            raise typer.BadParameter(f"{' and '.join(given)} each say what is done: keep one")
        if self.auto:
            return {"auto": {}}
        if self.preset is not None:
            return {"preset": self.preset}
        if not self.step:
            raise typer.BadParameter(
                f"give at least one --step (one of {', '.join(KINDS)}), --auto, --preset or --request FILE.json"
            )
        return {"steps": [step(text) for text in self.step]}

    def _search(self) -> dict[str, Any] | None:
        budget = without_none({"seconds": self.seconds, "trials": self.trials})
        search = without_none({"objective": self.objective, "budget": budget or None})
        return search or None

    def _from_file(self) -> dict[str, Any]:
        assert self.request is not None
        if self != JobOptions(request=self.request):
            raise typer.BadParameter("--request is the whole request; leave the other options of the job out")
        try:
            asked = read_json(self.request.read_bytes())
        except OSError as error:
            raise typer.BadParameter(f"{self.request} cannot be read: {error.strerror or error}") from error
        except Refusal as refusal:
            raise typer.BadParameter(f"{self.request}: {errors_in_words(refusal.problem)}") from refusal
        if not isinstance(asked, dict):
            raise typer.BadParameter(
                f"{self.request} should hold a JSON object, like the body of POST /v1/jobs"
            )
        return asked

    def _from_options(self) -> dict[str, Any]:
        names = pairs("--map", self.map)
        roles = {"calibration": self.calibration, "training": self.training, "evaluation": self.evaluation}
        if names and not self.data and not any(roles.values()):
            raise typer.BadParameter(
                "--map has no effect without data: give --data, --calibration, --training or --evaluation"
            )
        data: dict[str, Any] = {
            role: data_use(text, names) for role, text in roles.items() if text is not None
        }
        if self.data:
            data |= {"dataset": self.data[0], "map": names}
        if self.data and any(roles.values()):
            raise typer.BadParameter("--data is split into all roles; leave it out, or the roles")
        shapes = {
            key: [whole("--shape", size) for size in value.split(",")]
            for key, value in pairs("--shape", self.shape).items()
        }
        benchmark = {
            "batch_sizes": self.batch_size,
            "threads": self.threads,
            "rounds": self.rounds,
            "shapes": shapes,
        }
        metrics = self.metric or []
        evaluation = without_none(
            {
                "task": self.task,
                "metric": metrics[0] if metrics else None,
                "also": metrics[1:] or None,
                "output": self.output,
                "decode": None if self.decode is None else decode(self.decode),
            }
        )
        asked = {
            "name": self.name,
            "tags": pairs("--tag", self.tag),
            "seed": self.seed,
            "recipe": self._recipe(),
            "search": self._search(),
            "data": data,
            "evaluation": evaluation or None,
            "require": self.require(),
            "benchmark": without_none(benchmark),
            "target": self.target,
            "precision": self.precision,
            "target_features": self.target_feature,
            "limits": without_none({"seconds": self.limit_seconds, "memory_bytes": self.limit_memory_bytes}),
            "needs": self.needs,
            "generate": None if self.generate is None else json_of("--generate", self.generate),
            "explain": self.explain,
            "priority": self.priority,
        }
        return without_none(asked)


def unpack_options(command: Callable[..., None]) -> Callable[..., None]:
    """Typer reads signatures: the parameter `options: JobOptions` of a command becomes one per field, what is
    required last."""

    @wraps(command)
    def unpacked(**values: Any) -> None:
        options = JobOptions(**{field.name: values.pop(field.name) for field in fields(JobOptions)})
        command(**values, options=options)

    own = [p for p in inspect.signature(command).parameters.values() if p.name != "options"]
    new = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type
        )
        for field in sorted(fields(JobOptions), key=lambda field: hasattr(RequirementOptions, field.name))
    ]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + new
    unpacked.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    unpacked.__annotations__ = {p.name: p.annotation for p in parameters}
    return unpacked


def data_use(text: str | None, names: dict[str, str]) -> dict[str, Any] | None:
    """`dst_1:0:512` → rows 0 to 511 of dst_1."""
    if text is None:
        return None
    match = SLICED.fullmatch(text)
    if match is None:
        raise typer.BadParameter("a dataset was expected, e.g. dst_1 or dst_1:0:512")
    if match["source"].startswith("dst_") and ":" in match["source"]:
        raise typer.BadParameter(f"{text!r}: rows are two whole numbers, as in dst_1:0:512")
    rows = None if match["start"] is None else (int(match["start"]), int(match["stop"]))
    return {"dataset": match["source"], "slice": rows, "map": names}


def json_of(option: str, text: str) -> Any:
    """A file of JSON, or JSON as it is. Raises typer.BadParameter."""
    try:
        return json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(
            f"JSON, or a file of it, was expected: {error}", param_hint=option
        ) from error


def without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
