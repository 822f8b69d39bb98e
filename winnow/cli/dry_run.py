"""What a job would come to, on the screen: sizes after each step, time and memory, and what would be refused."""

from collections.abc import Iterator, Sequence

from winnow.cli.exits import OK, PROBLEM
from winnow.cli.naming import problem_in_options
from winnow.cli.screen import facts, out, print_result, say, table
from winnow.cli.shared import errors_in_words
from winnow.client import Client
from winnow.contract import units
from winnow.contract.asked_recipe import kinds_of
from winnow.contract.dry_run import Forecast
from winnow.contract.forecast.steps import StepForecast
from winnow.contract.job import JobRequest


def print_dry_run(client: Client, request: JobRequest, *, as_json: bool, from_file: bool) -> int:
    """Ask what the job would come to, and print it; exit code 1 where it would be refused."""
    answer = client.dry_run(request)
    if as_json:
        print_result(answer.model_dump_json(indent=2))
    elif answer.forecast is not None:
        _print_forecast(answer.forecast)
    kinds = kinds_of(request.recipe)
    for problem in answer.problems:
        shown = problem if from_file else problem_in_options(problem, kinds)
        say(f"would be refused ({shown.code}): {errors_in_words(shown)}")
    return OK if answer.fits else PROBLEM


def _print_forecast(forecast: Forecast) -> None:
    out().print(
        table(
            "Forecast; nothing was done",
            [
                ("step", "left"),
                ("size after it", "right"),
                ("multiply-accumulates", "right"),
                ("basis", "left"),
            ],
            _rows(forecast.steps),
        )
    )
    out().print(facts("", _costs(forecast)))
    say(forecast.basis)


def _rows(steps: Sequence[StepForecast]) -> Iterator[tuple[str, str, str, str]]:
    for number, step in enumerate(steps, 1):
        size = "-" if step.size_bytes is None else units.size(step.size_bytes)
        yield f"{number} {step.kind}", size, units.count(step.macs), step.basis


def _costs(forecast: Forecast) -> Iterator[tuple[str, str]]:
    seconds, memory = forecast.seconds, forecast.memory_bytes
    yield "time", "-" if seconds is None else " to ".join(f"{each:,.1f} s" for each in seconds)
    yield "memory", "-" if memory is None else " to ".join(units.size(each) for each in memory)
