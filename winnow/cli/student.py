"""`student`: a smaller model of the same kind."""

from typing import Annotated, Any, Literal

import typer

from winnow.cli.facts import model_facts
from winnow.cli.screen import out, print_result
from winnow.cli.shared import Json, Url
from winnow.client import Client
from winnow.client.client import LOCAL


def student(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The id of its parent (mdl_…).")],
    width: Annotated[float | None, typer.Option(help="Share of the channels that stay.")] = None,
    depth: Annotated[float | None, typer.Option(help="Share of the blocks or layers that stay.")] = None,
    target: Annotated[
        Literal["macs", "parameters"] | None, typer.Option(help="What is to shrink, by --amount.")
    ] = None,
    amount: Annotated[float | None, typer.Option(help="Share of the target that goes.")] = None,
    init: Annotated[
        Literal["teacher", "fresh"] | None, typer.Option(help="Its parent's weights, or new ones.")
    ] = None,
    round_to: Annotated[int | None, typer.Option(help="Channels stay in multiples of this.")] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Pattern of node names that stay as they are; repeat it.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call it; its parent's name when left out.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of new weights.")] = None,
    url: Url = LOCAL,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the id.")] = False,
    as_json: Json = False,
) -> None:
    """Make a smaller model of the same kind out of a model, to be trained by distillation; wait for it, show it.

    \b
    winnow student mdl_1 --depth 0.5
    winnow student mdl_1 --target macs --amount 0.75 --init fresh
    """
    given: dict[str, Any] = {
        "width": width,
        "depth": depth,
        "target": target,
        "amount": amount,
        "init": init,
        "round_to": round_to,
        "exclude": exclude,
        "name": name,
        "seed": seed,
    }
    wanted = {key: value for key, value in given.items() if value is not None}
    with Client(url) as client:
        made = client.make_student(model, wanted)
    if as_json or quiet:
        print_result(made.model_dump_json(indent=2) if as_json else made.id)
    else:
        out().print(model_facts(made))
