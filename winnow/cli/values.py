"""`values`: what the graph of a model computes."""

from typing import Annotated

import typer
from rich.table import Table

from winnow.cli.screen import Column, out, print_result, table
from winnow.cli.shared import Json, Url
from winnow.client import Client
from winnow.client.client import LOCAL
from winnow.contract.graph_values import GraphValue

COLUMNS: tuple[Column, ...] = (("value", "left"), ("type", "left"), ("shape", "left"), ("made by", "left"))


def values(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its id (mdl_…).")],
    name: Annotated[str | None, typer.Option(help="Only values of such names, as '*layer.2*'.")] = None,
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """List what a model's graph computes, to be named in features; --json gives one object per line.

    \b
    winnow values mdl_1 --name '*layer.2*'
    """
    with Client(url) as client:
        listed = list(client.values(model, name))
    if as_json:
        for value in listed:
            print_result(value.model_dump_json())
    else:
        out().print(value_list(listed))


def value_list(listed: list[GraphValue]) -> Table:
    rows = ((it.name, it.dtype, _shape(it), it.operator or "input") for it in listed)
    return table(None, COLUMNS, rows)


def _shape(value: GraphValue) -> str:
    if value.shape is None:
        return "?"
    return "×".join("?" if dim is None else str(dim) for dim in value.shape) or "one number"
